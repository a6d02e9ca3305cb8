"""The overview with numbers as wide as those of real dumps, and what its tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from purify.cleaning import clean
from purify.reporting import stats
from purify.reporting.figures import AdvantageStats, MeanAdvantage
from purify.reporting.page import write_page
from purify.reporting.page.overview import advantage_lines, signed, words
from purify_schemas import ToolState, Trajectory
from tests.reporting.page.tabs import DESKTOP, PHONE, Tab
from tests.support import call, step, trajectory, write_dataset

pytestmark = pytest.mark.xdist_group("page")

TOOLS = ["python", "update_reservation_flights", "stateful_python_code_exec", *(f"tool_{at}" for at in range(12))]
ERRORS = ["ModuleNotFoundError", "UnboundLocalError", "(no type)", *(f"exit_code_{at}" for at in range(12))]


def long_trajectory(number: int) -> Trajectory:
    """Six steps of many calls, eight failures that are corrected, eight that are not."""
    fine = [step(*[call("x = 1")] * 16, result="r" * 14_000)] * 6
    corrected, left = [], []
    for at in range(8):
        tool, error = TOOLS[at % 3 * (number % 5)], ERRORS[(number + at) % 15]
        corrected += [step(call(f"{'x' * at}y", "error", name=tool, error_type=error)), step(call(f"x{at}", name=tool))]
        left.append(step(call("x", "error", name=TOOLS[(number + at) % 15])))
    row = trajectory(*fine, *corrected, *left, id=f"t{number}", group=f"g{number // 2}", reward=float(number % 3 == 0))
    states = [ToolState(name=name, state="external" if name == TOOLS[2] else "stateless") for name in TOOLS]
    return row.model_copy(update={"tool_state": states})


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with long names, 640 failed of more than 4,000 calls, and millions of characters."""
    folder = tmp_path_factory.mktemp("wide")
    write_dataset(folder / "raw", [long_trajectory(number) for number in range(40)])
    return write_page(clean(folder / "raw", folder / "purified").path, folder / "page.html").path


BOXES = """() => [...document.querySelectorAll("#overview .scroll")].map(
    (box) => [box.getAttribute("aria-label"), box.clientWidth, box.scrollWidth]
)"""


@pytest.mark.parametrize("size", [DESKTOP, {"width": 1000, "height": 700}, PHONE], ids=["desktop", "small", "phone"])
def test_no_table_or_chart_is_cut_off(html: Path, tab: Tab, size: dict[str, int]) -> None:
    tab.page.set_viewport_size(size)
    page = tab.open(html)
    page.locator("#overview details").evaluate_all("all => all.forEach(one => one.open = true)")
    boxes = page.evaluate(BOXES)
    assert [name for name, *_ in boxes] == [
        "Calls by status",
        "Failed calls by tool",
        "Failed calls by error type",
        "Histogram of similarities",
        "Outcomes of edits",
        "Verdicts of the gates",
        "Text removed and kept",
        "Histogram of group means",
        "Mean advantages",
        "Lineage",
    ]
    assert [box for box in boxes if box[2] > box[1]] == []
    assert page.evaluate("document.documentElement.scrollWidth") == size["width"]


def test_bars_give_way_to_numbers_on_a_phone(html: Path, tab: Tab) -> None:
    page = tab.open(html)
    python = page.locator("[aria-label='Failed calls by tool'] tr", has_text="python").first
    bars = python.locator(".bars")
    assert bars.is_visible()
    page.set_viewport_size(PHONE)
    assert not bars.is_visible()
    assert all(cell.is_visible() for cell in python.locator(".number, .of, .share").all())
    # Charts are drawn smaller, their text not as much.
    sizes = page.locator("figure svg text").evaluate_all(
        "all => all.map((one) => [one.getCTM(), getComputedStyle(one).fontSize]).map("
        "([to, size]) => parseFloat(size) * Math.hypot(to.a, to.b))"
    )
    assert min(sizes) > 8


def test_a_tool_without_failures_opens_nothing(tab: Tab, tmp_path: Path) -> None:
    rows = [trajectory(step(call("x", "error"), call("y", name="search_web")), id="a")]
    write_dataset(tmp_path / "raw", rows)
    page = tab.open(write_page(tmp_path / "raw", tmp_path / "page.html").path)
    names = page.locator("[aria-label='Failed calls by tool'] tbody th")
    assert names.all_inner_texts() == ["python", "search_web"]
    assert [name.locator("a").count() for name in names.all()] == [1, 0]


def test_names_break_between_words() -> None:
    assert words("update_reservation_flights") == ["update_", "reservation_", "flights"]
    assert words("ModuleNotFoundError") == ["Module", "Not", "Found", "Error"]
    assert (words("(no type)"), words("HTTPError"), words("")) == (["(no type)"], ["HTTPError"], [""])


def test_zero_has_no_sign() -> None:
    numbers = [-0.0004, 0.0004, -0.0006, 1.5, None]
    assert [signed(number) for number in numbers] == ["0.000", "0.000", "-0.001", "+1.500", "–"]


def test_what_never_recovered_has_a_line(tab: Tab, tmp_path: Path) -> None:
    failed, done = step(call("x = y", "error")), step(call("x = 1"))
    kinds = {"clean": [done], "recovered": [failed, done], "never": [failed]}
    groups = {"g": {"clean": 1.0, "recovered": 1.0, "never": 0.0}, "h": {"recovered": 0.0, "never": 1.0, "clean": 1.0}}
    rows = [
        trajectory(*kinds[kind], id=f"{group}{kind}", group=group, reward=reward)
        for group, rewards in groups.items()
        for kind, reward in rewards.items()
    ]
    rows += [trajectory(failed, id="alone", group="i", reward=0.0), trajectory(failed, id="none", group="g")]
    write_dataset(tmp_path / "raw", rows)
    dataset = clean(tmp_path / "raw", tmp_path / "purified")
    page = tab.open(write_page(dataset.path, tmp_path / "page.html").path)
    table = page.locator("[aria-label='Mean advantages'] table")
    assert "over the 6 trajectories with a reward in a group of two or more" in table.locator("caption").inner_text()
    cells = [row.locator("th, td").all_inner_texts() for row in table.locator("tbody tr").all()]
    # One right of three has the deviation 0.577: right is (1 - 2/3) / 0.577, wrong is (0 - 2/3) / 0.577.
    assert cells == [
        ["without a failed call", "2", "+0.577", "0.000"],
        ["edited", "2", "-0.289", "0.866"],
        ["recovered from a failed call, edited or not", "2", "-0.289", "0.866"],
        ["with failed calls, never recovered", "2", "-0.289", "–"],
    ]


def test_without_such_trajectories_the_line_has_no_mean() -> None:
    clean_ones = MeanAdvantage(subset="clean", of="", trajectories=2, mean=0.0, standard_error=0.1)
    recovered = MeanAdvantage(subset="recovered", of="", trajectories=0, mean=None, standard_error=None)
    last = advantage_lines(AdvantageStats(trajectories=2, means=[clean_ones, recovered]))[-1]
    assert (last.trajectories, last.mean) == (0, None)


def test_numbers_are_as_wide_as_meant(html: Path) -> None:
    report = stats(html.parent / "purified")
    python = report.before.by_tool["python"]
    assert report.before.failed == 640 and report.before.calls > 4_000 and python.calls > 3_000
    assert report.edits is not None and report.edits.gates and report.edits.refused and sum(report.edits.similarity)
