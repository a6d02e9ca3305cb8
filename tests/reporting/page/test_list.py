"""The list of trajectories: the keys after real clicks, the numbers beside choices, and a list that is cut."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from purify.reporting import stats
from purify.reporting.page import write_page
from tests.reporting.page.pages import demo
from tests.reporting.page.tabs import Tab, opened, status

pytestmark = pytest.mark.xdist_group("page")


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("list")
    return write_page(demo(folder).path, folder / "page.html").path


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_after_the_tab_is_clicked_keys_go_to_the_list(html: Path, tab: Tab) -> None:
    page = tab.open(html)
    page.click("#to-rows")
    page.locator("#list:focus").wait_for()
    for key in ("j", "j", "ArrowDown", "ArrowUp", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#detail article")
    opened(page, 2)
    # Pressed, instead of clicked; and again, where the view is there already.
    page.click("#to-overview")
    page.focus("#to-rows")
    page.keyboard.press("Enter")
    page.locator("#list:focus").wait_for()
    page.click("#to-rows")
    assert focused(page) == "list"
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    opened(page, 0)


def test_a_link_of_the_overview_leads_to_the_list(html: Path, tab: Tab) -> None:
    page = tab.open(html)
    page.click("text=NameError")
    page.locator("#list:focus").wait_for()


def test_a_moving_key_takes_enter_away_from_a_button(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows")
    page.click("#help-button")
    page.keyboard.press("Escape")
    assert focused(page) == "help-button"
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    opened(page, 0)
    assert not page.locator("#help").is_visible()


def test_an_address_takes_no_focus(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows")
    assert focused(page) == ""


def test_a_choice_finds_as_many_as_it_says(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows")
    compared = 0
    for select in ("edit", "granularity", "error", "tool", "failed", "reward"):
        options = page.locator(f"#{select} option").evaluate_all("all => all.map(one => [one.value, one.text])")
        assert options.pop(0) == ["", "any"]
        for value, text in options:
            (said,) = re.findall(r"\(([\d,]+)\)$", text)
            page.select_option(f"#{select}", value)
            status(page, f"{said} of 32 trajectories")
            compared += 1
        page.select_option(f"#{select}", "")
    assert compared > 20


def test_edits_made_are_those_that_stats_counts(html: Path, tab: Tab) -> None:
    report = stats(html.parent / "demo")
    assert report.edits is not None and report.after is not None
    page = tab.open(html, "#view=rows")
    assert page.locator("#edit option >> nth=1").inner_text() == f"made ({report.edits.rows_edited})"
    failed = page.locator("#failed option").all_inner_texts()
    before, after = report.before.trajectories_with_failure, report.after.trajectories_with_failure
    assert failed == ["any", f"as sampled ({before})", f"left after purifying ({after})"]
    assert page.locator("label", has_text="Granularity of edits made").locator("#granularity").count() == 1


def test_a_cut_list_says_so(html: Path, tab: Tab, tmp_path: Path) -> None:
    source = html.parent / "demo"
    page = tab.open(write_page(source, tmp_path / "page.html", limit=10).path)
    assert page.locator("#to-rows").inner_text() == "Trajectories 10 of 32"
    page.click("#to-rows")
    status(page, "10 trajectories")
    assert page.locator("text=This page lists 10 of 32 trajectories, edited ones first.").is_visible()


def test_a_whole_list_does_not_say_how_much_of_the_dataset_it_is(html: Path, tab: Tab) -> None:
    page = tab.open(html)
    assert page.locator("#to-rows").inner_text() == "Trajectories"
    assert page.locator("text=This page lists").count() == 0
