"""The page in Chromium, opened from disk: what a reader does with it, and what hostile text cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from purify.datasets import Dataset
from purify.reporting import Filter, Stats, browse, passages, stats
from purify.reporting.page import write_page
from purify.reporting.page.details import HEAD, TAIL
from purify_schemas import Trajectory
from tests.reporting.page.pages import LONG, SCRIPT, SHOWN, demo, hostile
from tests.reporting.page.tabs import DESKTOP, PHONE, Tab, listed, opened, status
from tests.support import call, step, trajectory, write_dataset

pytestmark = pytest.mark.xdist_group("page")  # one page for all of them


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def rows(dataset: Dataset) -> list[Trajectory]:
    return list(dataset)


@pytest.fixture(scope="module")
def html(dataset: Dataset) -> Path:
    return write_page(dataset.path, dataset.path.parent / "page.html").path


def counted(dataset: Dataset) -> Stats:
    return stats(dataset.path)


def test_the_overview_has_the_numbers_of_stats(dataset: Dataset, html: Path, tab: Tab) -> None:
    page, report = tab.open(html), counted(dataset)
    assert report.after is not None and report.edits is not None
    assert page.locator("h1").inner_text() == "demo"
    tile = page.locator(".tiles > div").first
    assert tile.locator("dd").all_inner_texts() == ["45.1% → 26.9%", "32 → 14 of 71 → 52"]
    assert (report.before.failed, report.before.calls, report.after.failed, report.after.calls) == (32, 71, 14, 52)

    def table(region: str) -> dict[str, list[str]]:
        found = page.locator(f"[role=region][aria-label='{region}'] tbody tr").all()
        return {
            row.locator("th").inner_text(): [
                " ".join(cell.inner_text().split()) for cell in row.locator("td:not(.bars)").all()
            ]
            for row in found
        }

    errors = table("Failed calls by error type")
    assert errors == {
        name: [f"{before} {before / 71:.1%}", f"{(after := report.after.by_error_type.get(name, 0))} {after / 52:.1%}"]
        for name, before in report.before.by_error_type.items()
    }
    assert table("Failed calls by tool")["python"] == ["25 of 52 48.1%", "10 of 37 27.0%"]
    outcomes = {name: cells[0] for name, cells in table("Outcomes of edits").items()}
    expected = {str(name): str(count) for name, count in report.edits.accepted.items()}
    expected |= {f"refused: {reason}": str(count) for reason, count in report.edits.refused.items()}
    assert outcomes == expected
    turns = {name: cells[0] for name, cells in table("Text removed and kept").items()}
    assert turns == {"sampled": "99", "removed": "18", "share removed": "18.2%", "kept": "81"}
    assert table("Mean advantages")["edited"][0] == str(report.edits.rows_edited)
    assert "γ = 0.5" in page.locator("[aria-label='Histogram of similarities'] svg").text_content()


def test_links_of_the_overview_filter(html: Path, tab: Tab, dataset: Dataset) -> None:
    page = tab.open(html)
    page.click("text=NameError")
    wanted = [number for number, _ in browse(dataset.path, Filter(error_type="NameError"), limit=None).rows]
    status(page, f"{len(wanted)} of 32 trajectories")
    assert listed(page) == wanted
    assert page.input_value("#error") == "NameError"
    # The 25 failed calls of python, before, are those of these trajectories; more of them call it.
    page.click("#to-overview")
    page.click("a:text-is('python')")
    wanted = [at for at, row in enumerate(dataset) if any(failed == ("python", True) for failed in sampled(row))]
    calling = browse(dataset.path, Filter(tool="python"), limit=None).matching
    assert 0 < len(wanted) < calling
    status(page, f"{len(wanted)} of 32 trajectories")
    assert listed(page) == wanted[: len(listed(page))]
    assert (page.input_value("#tool"), page.input_value("#failed"), page.input_value("#error")) == (
        "python",
        "sampled",
        "",
    )


def sampled(row: Trajectory) -> list[tuple[str | None, bool]]:
    """Tool and failure of every call before any edit."""
    return [(made.name, made.failed) for part in passages(row) for _, raw in part.before for made in raw.calls]


FILTERS: list[tuple[dict[str, str], dict[str, object]]] = [
    ({"edit": "made"}, {"edited": True}),
    ({"granularity": "deep"}, {"granularity": "deep"}),
    ({"edit": "gate", "granularity": "shallow"}, {"reason": "gate", "granularity": "shallow"}),
    ({"edit": "refused"}, {"refused": True}),
    ({"edit": "gate"}, {"reason": "gate"}),
    ({"tool": "lookup"}, {"tool": "lookup"}),
    ({"tool": "lookup", "error": "tool_error"}, {"tool": "lookup", "error_type": "tool_error"}),
]


def test_filters_find_what_inspect_finds(html: Path, tab: Tab, dataset: Dataset) -> None:
    page = tab.open(html, "#view=rows")
    for chosen, wanted in FILTERS:
        for name, value in chosen.items():
            page.select_option(f"#{name}", value)
        expected = [row for row, _ in browse(dataset.path, Filter.model_validate(wanted), limit=None).rows]
        status(page, f"{len(expected)} of 32 trajectories")
        assert listed(page) == expected[: len(listed(page))]
        page.click("button:text-is('Clear')")
        status(page, "32 trajectories")


def test_rewards_failures_left_and_sorting(html: Path, tab: Tab, rows: list[Trajectory]) -> None:
    page = tab.open(html, "#view=rows")
    page.select_option("#reward", "wrong")
    wrong = [at for at, row in enumerate(rows) if row.reward is not None and row.reward <= 0]
    status(page, f"{len(wrong)} of 32 trajectories")
    page.select_option("#failed", "left")
    left = [at for at in wrong if any(call.failed for step in rows[at].steps for call in step.calls)]
    status(page, f"{len(left)} of 32 trajectories")
    assert listed(page) == left
    page.select_option("#reward", "")
    page.select_option("#sort", "left")
    failures = [sum(call.failed for step in rows[at].steps for call in step.calls) for at in listed(page)]
    assert failures == sorted(failures, reverse=True) and failures[-1] > 0


def test_search_looks_into_every_text(html: Path, tab: Tab, rows: list[Trajectory]) -> None:
    page = tab.open(html, "#view=rows")
    page.keyboard.press("/")
    page.keyboard.type("MODULENOTFOUND")
    # In texts that edits have removed, too.
    expected = [at for at, row in enumerate(rows) if "modulenotfound" in row.model_dump_json().lower()]
    assert expected
    status(page, f"{len(expected)} found in 32")
    assert listed(page) == expected
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail article")
    opened(page, expected[0])
    assert page.evaluate("CSS.highlights.get('found').size") > 0
    page.fill("#search", 'no such "text" \\n <b>')
    status(page, "0 found in 32")
    assert listed(page) == []


def test_keys_move_open_and_go_back(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows")
    for key in ("j", "j", "k", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#detail article")
    opened(page, 1)
    page.keyboard.press("j")
    page.locator("#detail h2", has_text="934a76afb70535bc879ad909").wait_for()
    opened(page, 2)
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.id") == "edit-0"
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail .empty")
    opened(page, None)
    page.go_back()
    page.wait_for_selector("#detail article")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert page.locator("#overview").is_visible()


def test_n_and_p_go_through_the_edits(tab: Tab, tmp_path: Path) -> None:
    from purify.cleaning import clean

    pairs = [(step(call(f"x{at} = y", "error")), step(call(f"x{at} = 1"))) for at in range(3)]
    write_dataset(tmp_path / "raw", [trajectory(*(one for pair in pairs for one in pair))])
    clean(tmp_path / "raw", tmp_path / "purified")
    page = tab.open(write_page(tmp_path / "purified", tmp_path / "page.html").path, "#view=rows&row=0")
    at = []
    for key in ("n", "n", "n", "n", "p"):
        page.keyboard.press(key)
        at.append(page.evaluate("document.activeElement.id"))
    assert at == ["edit-0", "edit-1", "edit-2", "edit-2", "edit-1"]


def test_an_address_opens_a_trajectory_with_its_filters(html: Path, tab: Tab, rows: list[Trajectory]) -> None:
    page = tab.open(html, "#view=rows&edit=made&q=prime&row=4")
    assert page.locator("#detail h2").text_content() == rows[4].trajectory_id
    assert (page.input_value("#edit"), page.input_value("#search")) == ("made", "prime")
    assert page.locator("#list [aria-selected=true]").get_attribute("data-position") == "4"
    tab.page.evaluate("location.hash = '#view=rows&row=999'")
    page.locator("#detail .notice", has_text="Row 999 is not on this page.").wait_for()


def test_edits_show_what_passages_say(html: Path, tab: Tab, rows: list[Trajectory]) -> None:
    page = tab.open(html, "#view=rows&row=1")
    edited = [at for at, row in enumerate(rows) if row.provenance is not None and row.provenance.edits]
    assert len(edited) == 24
    for number in edited:
        page.evaluate(f"location.hash = '#view=rows&row={number}'")
        page.locator("#detail h2", has_text=rows[number].trajectory_id).wait_for()
        edits = [part for part in passages(rows[number]) if part.edit is not None]
        shown = page.locator("#detail .edit").all()
        assert len(shown) == len(edits) > 0
        for part, box in zip(edits, shown, strict=True):
            assert part.edit is not None
            sides = [(".before", part.before), (".after", part.after)] if part.edit.accepted else [("", part.before)]
            for name, steps in sides:
                found = box.locator(f".side-of{name} .step" if name else ".unpaired .step").all()
                assert len(found) == len(steps)
                for one, (at, stored) in zip(found, steps, strict=True):
                    assert one.locator("strong").text_content() == f"step {at}"
                    text = one.text_content()
                    assert (stored.reasoning.text or "") in text
                    assert all((message.content or "").strip() in text for message in stored.observation.messages)
            for link, line in zip(part.edit.links, box.locator("dd", has_text=" → ").all(), strict=True):
                sim = "none: a call" if link.similarity is None else f"{link.similarity:.3f}"
                assert sim in line.text_content() and line.text_content().count(link.granularity) == 1


def test_the_diff_marks_lines_and_words(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows&row=1")
    lines = page.locator(".diff > div").all()
    assert [(line.get_attribute("class"), line.locator("del, ins").all_text_contents()) for line in lines] == [
        ("same", []),
        ("gone", ["numbr"]),
        ("new", ["number"]),
        ("same", []),
    ]


def test_untouched_steps_are_folded(html: Path, tab: Tab) -> None:
    page = tab.open(html, "#view=rows&row=1")
    folded = page.locator("details.step")
    assert (folded.count(), folded.first.get_attribute("open")) == (1, None)
    assert "step 2 → 1" in folded.first.text_content()


def test_dark_mode_follows_the_system_and_the_button(html: Path, tab: Tab) -> None:
    page = tab.open(html)

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = paper()
    page.emulate_media(color_scheme="dark")
    dark = paper()
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 27)")
    page.wait_for_selector("#theme[aria-pressed=true]")
    page.click("#theme")
    assert (paper(), page.get_attribute("#theme", "aria-pressed")) == (light, "false")
    page.emulate_media(color_scheme="light")
    page.click("#theme")
    assert paper() == dark


def test_on_a_phone_it_is_one_column(html: Path, tab: Tab) -> None:
    tab.page.set_viewport_size(PHONE)
    for place in ("", "#view=rows", "#view=rows&row=15"):
        page = tab.open(html, place)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert not page.locator("#list").is_visible()
    page.click("text=← List")
    assert page.locator("#list").is_visible() and not page.locator("#detail").is_visible()
    page.click("#list [role=option] >> nth=1")
    page.wait_for_selector("#detail article")
    assert page.locator("#detail").is_visible() and not page.locator("#list").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_no_serious_fault(html: Path, tab: Tab, scheme: str, size: dict[str, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab.page.set_viewport_size(size)
    tab.page.emulate_media(color_scheme=scheme)
    for place in ("", "#view=rows", "#view=rows&row=15", "#view=rows&row=26&q=the"):
        found = Axe().run(tab.open(html, place))
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious] == [], place


def test_hostile_text_is_only_text(tab: Tab, tmp_path: Path) -> None:
    dataset = hostile(tmp_path)
    html = write_page(dataset.path, tmp_path / "page.html", title=SCRIPT).path
    page = tab.open(html, "#view=rows&row=0")
    page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
    assert page.locator("#detail h2").text_content() == SCRIPT
    assert page.locator("article .prompt pre").text_content() == SCRIPT
    assert page.locator("img").count() == 0
    page.evaluate("location.hash = '#view=rows&row=1'")
    page.locator("#detail h2", has_text="controls").wait_for()
    assert page.locator("article .prompt pre").text_content() == SHOWN
    assert page.locator(".side-of.after .field pre").first.text_content() == SHOWN
    result = page.locator(".side-of.before .step >> nth=0 >> .result pre").text_content()
    left_out = len(LONG) - HEAD - TAIL
    assert result == f"{LONG[:HEAD]}… {left_out:,} characters are left out of this page …{LONG[-TAIL:]}"
    page.fill("#search", "\u202egnp")
    status(page, "1 found in 2 · without the middle of 1 long text, which this page leaves out")
    assert page.title() == SCRIPT


def test_a_held_key_goes_as_far_as_it_was_held(tab: Tab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(id=f"id-{at}") for at in range(400)])
    page = tab.open(write_page(tmp_path / "raw", tmp_path / "page.html").path, "#view=rows&row=0")
    page.evaluate(
        "() => { for (let n = 0; n < 300; n++) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', { key: 'j', bubbles: true })) }"
    )
    page.locator("#detail h2", has_text="id-300").wait_for()
    opened(page, 300)


def test_a_raw_dataset_has_no_edits_to_show(tab: Tab, dataset: Dataset, tmp_path: Path) -> None:
    html = write_page(dataset.path.parent / "raw", tmp_path / "raw.html").path
    page = tab.open(html)
    assert page.locator("h2#edits").count() == 0 and page.locator("th", has_text="after").count() == 0
    assert page.locator(".tiles dd").first.inner_text() == "45.1%"
    page = tab.open(html, "#view=rows&row=1")
    assert page.locator("#edit").count() == 0
    assert page.locator("details.step[open]").count() == 3
    page.select_option("#error", "NameError")
    status(page, "4 of 32 trajectories")


def test_thousands_are_listed_but_few_are_drawn(tab: Tab, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call(f"n = {at}")), id=f"id-{at}") for at in range(3000)])
    page = tab.open(write_page(tmp_path / "raw", tmp_path / "page.html").path, "#view=rows")
    status(page, "3,000 trajectories")
    assert len(listed(page)) < 40
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.locator("#detail h2", has_text="id-2999").wait_for()
    assert listed(page)[-1] == 2999
    page.fill("#search", "n = 2500")
    status(page, "1 found in 3,000")
    assert listed(page) == [2500]
