"""The scripts of the page: against the Python that they must agree with, and with thousands of steps."""

from __future__ import annotations

import sys
import unicodedata
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.reporting import Filter
from purify.reporting.filters import matching_rows
from purify.reporting.page import write, write_page
from purify.reporting.page.details import REASONS
from purify.reporting.page.overview import visible
from purify_schemas import Trajectory
from tests.reporting.page.pages import demo, index_of
from tests.reporting.page.tabs import PHONE, Tab, opened, status
from tests.support import call, step, trajectory, write_dataset

pytestmark = pytest.mark.xdist_group("page")

SCRIPTS = Path(write.__file__).parent


def run(tab: Tab, files: list[str], expression: str, argument: Any) -> Any:
    """The value of an expression after some of the page's scripts; `given` is the argument."""
    script = "\n".join((SCRIPTS / name).read_text() for name in files)
    tab.page.goto("about:blank")
    return tab.page.evaluate(f"(given) => {{ {script}\n return {expression}; }}", argument)


def test_both_halves_make_the_same_characters_visible(html: Path, tab: Tab) -> None:
    tab.open(html)
    # Of those that Python's Unicode knows; in lines of a text, JavaScript keeps tab and line feed.
    known = [code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")]
    hidden = {code for code in known if code not in (9, 10) and visible(chr(code)) != chr(code)}
    shown = run(tab, ["text.js"], "given.map((code) => visible(String.fromCodePoint(code)))", known)
    assert {code: text for code, text in zip(known, shown, strict=True) if text != chr(code)} == {
        code: visible(chr(code)) for code in hidden
    }
    assert {0, 0x1B, 0x7F, 0x9B, 0xAD, 0x34F, 0x115F, 0x202E, 0x3164, 0xFEFF, 0xE0041, 0xE0100} <= hidden
    # What people read is left alone: emoji end in a selector.
    assert not hidden & set(map(ord, "aé漢\u0301\u00a0☁\ufe0f"))


def removed_and_left() -> list[Trajectory]:
    """Each is edited, or still fails, by another tool or for another reason."""

    def failed(tool: str, error: str) -> Any:
        return step(call(f"{tool}(1", "error", name=tool, error_type=error))

    def done(tool: str) -> Any:
        return step(call(f"{tool}(1)", name=tool))

    states: Any = {"submit": "stateless", "search": "stateless"}
    found = [
        [failed("submit", "E"), done("submit"), failed("search", "F")],
        [failed("submit", "E"), done("submit"), failed("search", "E")],
        [failed("submit", "E"), done("search")],
        [failed("search", "F"), done("search"), done("submit")],
        [done("submit")],
    ]
    return [trajectory(*steps, id=f"t{at}", states=states) for at, steps in enumerate(found)]


CONDITIONS: dict[str, dict[str, dict[str, object]]] = {
    "edit": {
        "made": {"edited": True},
        "refused": {"refused": True},
        **{reason: {"refused": True, "reason": reason} for reason in REASONS},
    },
    "granularity": {size: {"granularity": size} for size in ("shallow", "deep")},
    "failed": {"left": {"failed": True}},
}
"""Filters of the page, and those of `purify inspect`."""


def disagreements(
    tab: Tab, dataset: Dataset, html: Path
) -> tuple[int, list[tuple[dict[str, str], list[int], list[int]]]]:
    """How many pairs of conditions were compared, and those that find other rows than `purify inspect`."""
    index = index_of(html)
    calls = index["tables"]["calls"]
    conditions = CONDITIONS | {
        "tool": {name: {"tool": name} for name, *_ in calls},
        "error": {type: {"error_type": type} for _, type, *_ in calls if type is not None},
    }
    pairs = [
        ({first: one, second: other}, {**conditions[first][one], **conditions[second][other]})
        for first, second in combinations(conditions, 2)
        for one, other in product(conditions[first], conditions[second])
    ]
    pairs += [({name: one}, given) for name, values in conditions.items() for one, given in values.items()]
    states = [state for state, _ in pairs]
    expression = "given[1].map((state) => new Rows(given[0], []).matching(state))"
    found = run(tab, ["text.js", "rows.js"], expression, [index, states])
    wanted = [matching_rows(dataset, Filter.model_validate(given)).tolist() for _, given in pairs]
    differing = [
        (state, page, inspect) for state, page, inspect in zip(states, found, wanted, strict=True) if page != inspect
    ]
    return sum(map(bool, wanted)), differing


def test_every_pair_of_filters_finds_what_inspect_finds(tab: Tab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", removed_and_left())
    cleaned = clean(tmp_path / "raw", tmp_path / "purified")
    html = write_page(cleaned.path, tmp_path / "page.html").path
    page = tab.open(html, "#view=rows&tool=submit&failed=left")
    status(page, "1 of 5 trajectories")
    assert disagreements(tab, cleaned, html) == (39, [])
    dataset = demo(tmp_path / "shipped")
    compared, differing = disagreements(tab, dataset, write_page(dataset.path, html, overwrite=True).path)
    assert (compared > 100, differing) == (True, [])


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 30,000 characters; an edit that was refused; another that was made."""
    folder = tmp_path_factory.mktemp("texts")
    long = step(call("x"), result="a" * 15_000 + " NEEDLE " + "b" * 15_000)
    refused = [step(call("y = (", "error", error_type="SyntaxError")), step(think="I give up")]
    write_dataset(folder / "raw", [trajectory(long, id="t0"), trajectory(*refused, id="t1"), trajectory(id="t2")])
    return write_page(clean(folder / "raw", folder / "purified").path, folder / "page.html").path


def test_a_search_says_what_it_cannot_see(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows&q=NEEDLE")
    status(page, "0 found in 3 · without the middle of 1 long text, which this page leaves out")
    page.select_option("#error", "SyntaxError")
    status(page, "0 found in 1 filtered")


def test_a_search_does_not_find_what_the_page_says(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows&row=1")
    said = "no later call of the same tool succeeded within the retries"
    assert page.locator(".edit > p").first.text_content() == f"Left as it was: {said}."
    unseen = " · without the middle of 1 long text, which this page leaves out"
    for text, found in ((said, 0), ("unresolved", 0), ("user", 0), ("SyntaxError", 1), ("I give up", 1)):
        page.fill("#search", text)
        status(page, f"{found} found in 3{unseen}")


def test_an_empty_row_opens_none(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows")
    for place in ("row=", "row=%20", "row=0x1", "row=1e0"):
        page.evaluate(f"location.hash = '#view=rows&{place}'")
        page.wait_for_timeout(100)
        assert page.locator("#detail article").count() == 0, place
    assert page.locator("#detail .notice").inner_text() == "Row 1e0 is not on this page."
    page.evaluate("location.hash = '#view=rows&row='")
    page.locator("#detail .notice").wait_for(state="detached")
    page.evaluate("location.hash = '#view=rows&row=1'")
    page.locator("#detail h2", has_text="t1").wait_for()


@pytest.mark.parametrize("at", ["#view=rows&row=1", ""], ids=["trajectory", "overview"])
def test_a_dark_page_is_printed_dark_on_light(html: Path, tab: Tab, at: str) -> None:
    page = tab.open(html, at)
    page.click("#theme")
    page.emulate_media(color_scheme="dark")
    colour = "getComputedStyle(document.body).color"
    assert page.evaluate(colour) == "rgb(228, 230, 234)"
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate(colour) == "rgb(29, 33, 39)"
    assert not page.locator("#theme").is_visible()


def test_a_trajectory_is_printed_whole(tab: Tab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(*[step(call(f"n = {at}"), result="r") for at in range(100)])])
    page = tab.open(write_page(tmp_path / "raw", tmp_path / "page.html").path, "#view=rows&row=0")
    page.emulate_media(media="print")
    assert not page.locator("#list").is_visible()
    heights = page.locator("#detail").evaluate("(box) => [box.scrollHeight, box.clientHeight]")
    assert heights[0] == heights[1]
    assert page.evaluate("document.documentElement.scrollHeight") > 5000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 steps, none failed; 1,000 refused edits, with a word in the 700th."""
    folder = tmp_path_factory.mktemp("many")
    fine = [step(call(f"n = {at}")) for at in range(1000)]
    failed = [step(call(f"t{at}(", "error", name=f"t{at}"), result="HERE" if at == 700 else "no") for at in range(1000)]
    write_dataset(folder / "raw", [trajectory(*fine, id="fine"), trajectory(*failed, id="failed")])
    return write_page(clean(folder / "raw", folder / "purified").path, folder / "page.html").path


STOPS = "document.querySelectorAll('#detail [tabindex=\"0\"], #detail summary, #detail button').length"


def test_thousands_of_steps_are_drawn_as_they_are_asked_for(many: Path, tab: Tab) -> None:
    page = tab.open(many, "#view=rows&row=0")
    assert page.locator("#detail .step").count() == 300
    buttons = page.locator(".rest button")
    assert buttons.all_inner_texts() == ["Show 300 more steps", "Show the rest: 700 steps"]
    page.emulate_media(media="print")
    assert page.locator(".rest").inner_text() == "… 700 steps not shown yet"
    page.emulate_media(media="screen")
    buttons.first.click()
    assert page.locator("#detail .step").count() == 600
    assert page.evaluate("document.activeElement.querySelector('strong').textContent") == "step 300"
    buttons.last.click()
    assert page.locator("#detail .step").count() == 1000
    assert not page.locator(".rest").is_visible()
    assert page.locator("#detail .step strong").last.text_content() == "step 999"


def test_a_box_is_a_stop_of_the_keyboard_where_it_scrolls(many: Path, tab: Tab) -> None:
    page = tab.open(many, "#view=rows&row=1")
    assert page.locator("#detail .edit").count() == 300
    page.wait_for_timeout(300)
    assert page.evaluate(STOPS) < 10
    page = tab.open(many, "#view=rows&row=0")
    tab.page.set_viewport_size(PHONE)
    code = page.locator("#detail pre.code").first
    assert code.get_attribute("tabindex") is None
    page.evaluate("document.querySelector('#detail pre.code').style.width = '2em'")
    page.locator("#detail pre.code[tabindex='0'][role=region][aria-label='call of python']").wait_for()
    page.evaluate("document.querySelector('#detail pre.code').style.width = ''")
    page.locator("#detail pre.code[tabindex]").wait_for(state="detached")


def test_keys_and_search_reach_what_is_not_drawn_yet(many: Path, tab: Tab) -> None:
    page = tab.open(many, "#view=rows&row=1")
    page.evaluate("document.getElementById('edit-299').focus()")
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.id") == "edit-300"
    assert page.locator("#detail .edit").count() == 600
    page = tab.open(many, "#view=rows&row=1")
    page.keyboard.press("p")
    assert page.evaluate("document.activeElement.id") == "edit-999"
    page = tab.open(many, "#view=rows&q=here&row=1")
    opened(page, 1)
    assert page.locator("#detail .edit").count() == 900
    assert page.evaluate("CSS.highlights.get('found').size") == 1
    page.locator(".result pre", has_text="HERE").wait_for()
    assert page.evaluate("document.querySelector('#detail').scrollTop") > 10_000
