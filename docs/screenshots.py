"""Take `docs/report.png` and `docs/report-trajectory.png`: what `purify report` makes of the shipped dump, in Chromium.

.venv/bin/python docs/screenshots.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from purify.cleaning import clean
from purify.importing import ImportConfig, import_dump
from purify.reporting import Filter, browse
from purify.reporting.page import write_page

ROOT = Path(__file__).parents[1]
STATES = ImportConfig(tool_state={"python": "stateless", "lookup": "stateless", "book_slot": "external"})


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        import_dump(ROOT / "examples/demo.jsonl", Path(scratch, "rollouts"), STATES)
        purified = clean(Path(scratch, "rollouts"), Path(scratch, "purified")).path
        html = write_page(purified, Path(scratch, "report.html"), title="examples/demo.jsonl").path
        found = browse(purified, Filter(granularity="shallow", error_type="NameError"), limit=1)
        row = next(number for number, _ in found.rows)
        shoot(html, {"report": "", "report-trajectory": f"#view=rows&edit=made&row={row}"})


def shoot(html: Path, pictures: dict[str, str]) -> None:
    """`pictures`: name to the place on the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, place in pictures.items():
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="light")
            page.goto(html.as_uri() + place)
            page.wait_for_selector("html[data-ready] #detail article" if place else "html[data-ready]")
            page.wait_for_timeout(300)  # the list is drawn before the next frame
            page.screenshot(path=ROOT / "docs" / f"{name}.png")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
