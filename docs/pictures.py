"""Take the pictures of the documents, from the shipped dump: the browser that `purify inspect` opens on a terminal, and
two places of the page that `purify report` writes, in Chromium.

.venv/bin/python docs/pictures.py
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.importing import ImportConfig, import_dump
from purify.reporting import Filter, browse
from purify.reporting.page import write_page
from purify.reporting.reader import RowReader
from purify_cli.browser.app import Browser

ROOT = Path(__file__).parents[1]
STATES = ImportConfig(tool_state={"python": "stateless", "lookup": "stateless", "book_slot": "external"})


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):  # pictures say where the dataset is
        import_dump(ROOT / "examples/demo.jsonl", "rollouts", STATES)
        clean("rollouts", "purified")
        asyncio.run(terminal(Path("purified")))
        page(Path("purified"))


async def terminal(purified: Path) -> None:
    browser = Browser(RowReader(Dataset.open(purified)), Filter(edited=True))
    async with browser.run_test(size=(126, 42)) as pilot:
        for key in ("", "j", "enter"):
            await pilot.press(*[key] * bool(key))
            while any(not worker.is_finished for worker in browser.workers):
                await pilot.pause(0.05)
            await pilot.pause(0.2)
        picture = browser.export_screenshot(title="purify inspect purified/ --edited")
    (ROOT / "docs/browser.svg").write_text(picture)


def page(purified: Path) -> None:
    html = write_page(purified, purified.with_name("report.html"), title="examples/demo.jsonl").path.resolve()
    found = browse(purified, Filter(granularity="shallow", error_type="NameError"), limit=1)
    row = next(number for number, _ in found.rows)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, place in {"report": "", "report-trajectory": f"#view=rows&edit=made&row={row}"}.items():
            tab = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
            tab.goto(html.as_uri() + place)
            tab.wait_for_selector("html[data-ready] #detail article" if place else "html[data-ready]")
            tab.wait_for_timeout(300)  # the list is drawn before the next frame
            tab.screenshot(path=ROOT / "docs" / f"{name}.png")
            tab.close()
        browser.close()


if __name__ == "__main__":
    main()
