"""The browser that tests of the page look through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reporting.page.tabs import CHROMIUM, DESKTOP, Tab


@pytest.fixture
def tab() -> Iterator[Tab]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = Tab(browser.new_page(viewport=DESKTOP, color_scheme="light"))
        yield tab
        browser.close()
    assert tab.said == []
    assert all(url.startswith(("file://", "about:")) for url in tab.asked)
    assert len(set(tab.asked) - {"about:blank"}) == 1
