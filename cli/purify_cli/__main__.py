"""`python -m purify_cli` is `purify`."""

from __future__ import annotations

from purify_cli.main import run

if __name__ == "__main__":
    run()
