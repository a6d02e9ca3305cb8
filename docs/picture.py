"""Draw the README's pictures from the shipped dump: `docs/inspect.svg`, one edit as `purify inspect --print` shows it,
and `docs/browser.svg`, the browser that `purify inspect` opens on a terminal, with a trajectory open.

.venv/bin/python docs/picture.py
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import tempfile
from pathlib import Path

from rich.console import Console

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.importing import import_dump
from purify.reporting.browse import browse
from purify.reporting.filters import Filter
from purify.reporting.reader import RowReader
from purify.saar import SaarConfig
from purify_cli.browser.app import Browser
from purify_cli.show_trajectory import show_trajectory

ROOT = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        import_dump(ROOT / "examples/demo.jsonl", Path(scratch, "rollouts"))
        clean(Path(scratch, "rollouts"), Path(scratch, "purified"), SaarConfig(tool_state={"python": "stateless"}))
        draw(Path(scratch, "purified"))
        with contextlib.chdir(scratch):  # the picture says where the dataset is
            asyncio.run(photograph(Path("purified")))


def draw(purified: Path) -> None:
    found = browse(purified, Filter(edited=True, error_type="NameError"), page=1, limit=1)
    screen = Console(
        record=True, width=126, markup=False, highlight=False, emoji=False, force_terminal=True, file=io.StringIO()
    )
    for number, trajectory in found.rows:
        show_trajectory(number, trajectory, screen, full=False)
    screen.save_svg(str(ROOT / "docs/inspect.svg"), title="purify inspect purified/ --edited --error-type NameError")


async def photograph(purified: Path) -> None:
    browser = Browser(RowReader(Dataset.open(purified)), Filter(edited=True))
    async with browser.run_test(size=(126, 42)) as pilot:
        for key in ("", "j", "enter"):
            await pilot.press(*[key] * bool(key))
            while any(not worker.is_finished for worker in browser.workers):
                await pilot.pause(0.05)
            await pilot.pause(0.2)
        picture = browser.export_screenshot(title="purify inspect purified/ --edited")
    (ROOT / "docs/browser.svg").write_text(picture)


if __name__ == "__main__":
    main()
