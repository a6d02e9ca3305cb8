"""Draw `docs/inspect.svg`, the README's picture: one edit of the shipped dump as `purify inspect` shows it.

.venv/bin/python docs/picture.py
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from rich.console import Console

from purify.cleaning import clean
from purify.importing import import_dump
from purify.reporting.browse import browse
from purify.reporting.filters import Filter
from purify.saar import SaarConfig
from purify_cli.show_trajectory import show_trajectory

ROOT = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        import_dump(ROOT / "examples/demo.jsonl", Path(scratch, "rollouts"))
        clean(Path(scratch, "rollouts"), Path(scratch, "purified"), SaarConfig(tool_state={"python": "stateless"}))
        draw(Path(scratch, "purified"))


def draw(purified: Path) -> None:
    found = browse(purified, Filter(edited=True, error_type="NameError"), page=1, limit=1)
    screen = Console(
        record=True, width=126, markup=False, highlight=False, emoji=False, force_terminal=True, file=io.StringIO()
    )
    for number, trajectory in found.rows:
        show_trajectory(number, trajectory, screen, full=False)
    screen.save_svg(str(ROOT / "docs/inspect.svg"), title="purify inspect purified/ --edited --error-type NameError")


if __name__ == "__main__":
    main()
