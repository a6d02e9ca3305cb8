"""A tab of Chromium with a page in it, and what its list says.

The steps of a trajectory are read with `text_content`: where `content-visibility` has not let the browser draw one
yet, `inner_text` is empty.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


class Tab:
    """A tab of the browser that must stay without a message, and ask for nothing but its file."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url.split("#")[0]))

    def open(self, file: Path, place: str = "") -> Any:
        self.page.goto("about:blank")
        self.page.goto(file.as_uri() + place)
        self.page.wait_for_selector("html[data-ready]")
        if "row=" in place:
            self.page.wait_for_selector("#detail article")
        return self.page


def listed(page: Any) -> list[int]:
    """Rows of the trajectories in the list, in order."""
    return [int(item.get_attribute("data-position")) for item in page.locator("#list [role=option]").all()]


def status(page: Any, text: str) -> None:
    """Wait until the line under the filters says this."""
    page.locator("#found", has_text=re.compile(f"^{re.escape(text)}$")).wait_for()


def opened(page: Any, row: int | None) -> None:
    """Wait until the address names this row: it follows a moment after the page."""
    wanted = "null" if row is None else f"'{row}'"
    for _ in range(100):
        if page.evaluate(f"new URLSearchParams(location.hash.slice(1)).get('row') === {wanted}"):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"row {row} is not open: {page.url}")
