"""Draw `docs/inspect.svg`, the README's picture: one edit of the demo as `purify inspect` shows it.

make demo && .venv/bin/python docs/picture.py
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from purify.reporting.browse import browse
from purify.reporting.filters import Filter
from purify_cli.show_trajectory import show_trajectory

ROOT = Path(__file__).parents[1]


def main() -> None:
    found = browse(ROOT / "demo/purified", Filter(edited=True, error_type="NameError"), page=1, limit=1)
    screen = Console(record=True, width=126, markup=False, highlight=False, emoji=False, force_terminal=True)
    for number, trajectory in found.rows:
        show_trajectory(number, trajectory, screen, full=False)
    screen.save_svg(
        str(ROOT / "docs/inspect.svg"), title="purify inspect demo/purified --edited --error-type NameError"
    )


if __name__ == "__main__":
    main()
