"""What stands in the file: every chosen trajectory, its edits as `passages` has them, and no text of others as HTML."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.reporting import browse, passages, stats
from purify.reporting.page import write_page
from purify.reporting.page.details import HEAD, REASONS, TAIL, details, shortened
from purify.reporting.page.measures import TextCost, group_rewards, stored_text
from purify.reporting.page.overview import visible
from purify.reporting.page.write import LIMIT, chosen
from purify_schemas import Segment, Step
from tests.reporting.page.pages import LONG, SCRIPT, details_of, hostile, index_of
from tests.reporting.page.pages import demo as demo_dataset
from tests.support import call, step, trajectory, write_dataset


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return demo_dataset(tmp_path_factory.mktemp("page"))


def test_every_trajectory_and_every_step_is_there_once(demo: Dataset, tmp_path: Path) -> None:
    written = write_page(demo.path, tmp_path / "page.html")
    assert (written.rows, written.shown, written.texts_shortened) == (32, 32, 0)
    assert written.bytes == (tmp_path / "page.html").stat().st_size
    shown = details_of(tmp_path / "page.html")
    assert [one["row"] for one in shown] == list(range(32))
    assert [one["id"] for one in shown] == [row.trajectory_id for row in demo]
    assert [len(one["steps"]) for one in shown] == [sum(len(part.before) for part in passages(row)) for row in demo]


def test_before_and_after_are_those_of_passages(demo: Dataset) -> None:
    edited = 0
    for number, row in browse(demo.path, limit=None).rows:
        shown = details(number, row)
        for part, one in zip(passages(row), shown["passages"], strict=True):
            assert one["before"] == [at for at, _ in part.before]
            assert [entry["number"] for entry in one["after"]] == [at for at, _ in part.after]
            assert [reasoning_of(shown, at, at) for at in one["before"]] == [texts(raw) for _, raw in part.before]
            after = [reasoning_of(shown, entry["reasoning_from"], entry["action_from"]) for entry in one["after"]]
            assert after == [texts(stored) for _, stored in part.after]
            edited += part.edit is not None and part.edit.accepted
    assert edited == sum(stats(demo.path).edits.accepted.values())  # type: ignore[union-attr]


def texts(one: Step) -> tuple[str, list[str | None], list[str | None]]:
    results = [message.content for message in one.observation.messages]
    return one.reasoning.text or "", [made.error_type for made in one.calls], results


def reasoning_of(shown: dict[str, Any], reasoning: int, action: int) -> tuple[str, list[str | None], list[str]]:
    first, second = shown["steps"][reasoning], shown["steps"][action]
    said = first["thinking"] + first["reasoning"]
    return said, [one["error"] for one in second["calls"]], [message["text"] for message in second["results"]]


def test_the_index_has_what_filters_ask_for(tmp_path: Path) -> None:
    rows = [
        trajectory(
            step(call("print(z)", "error", error_type="NameError")),
            step(call("print(zz)"), call("x", name="bash")),
            step(think="done"),
            id="a",
            reward=1.0,
        ),
        trajectory(step(call("x", "timeout")), id="b"),
    ]
    write_dataset(tmp_path / "raw", rows)
    write_page(tmp_path / "raw", tmp_path / "raw.html")
    assert index_of(tmp_path / "raw.html") == {
        "chunk": 64,
        "reasons": REASONS,
        "row": [0, 1],
        "id": ["a", "b"],
        "task": [0, 0],
        "sample": [None, None],
        "title": ["What is 6 times 7?"] * 2,
        "reward": [1.0, None],
        "raw": [3, 1],
        "stored": [3, 1],
        "left": [1, 1],
        "calls": [[0, 1, 2], [3]],
        "edits": [[], []],
        "shortened": [0, 0],
        "tables": {
            "tasks": ["g0"],
            "calls": [
                ["bash", None, True],
                ["python", "NameError", True],
                ["python", None, True],
                ["python", "(no type)", True],
            ],
            "edits": [],
        },
    }


def test_the_same_input_gives_the_same_bytes(demo: Dataset, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_page(demo.path, tmp_path / f"{name}.html", title="t")
    html = (tmp_path / "a.html").read_bytes()
    assert html == (tmp_path / "b.html").read_bytes()
    assert str(demo.path).encode() not in html


def test_of_too_many_edited_ones_come_first(demo: Dataset, tmp_path: Path) -> None:
    edited = [number for number, _ in browse(demo.path, limit=None).rows if number in chosen(demo, 15)]
    assert edited == list(chosen(demo, 15)) == sorted(edited) and len(edited) == 15
    rows = dict(browse(demo.path, limit=None).rows)
    assert all(any(edit.accepted for edit in rows[number].provenance.edits) for number in edited)  # type: ignore[union-attr]
    refused = set(chosen(demo, 20)) - set(edited)
    assert all(rows[number].provenance.edits for number in refused)  # type: ignore[union-attr]
    assert (chosen(demo, 32), len(chosen(demo, 31))) == (range(32), 31)
    written = write_page(demo.path, tmp_path / "page.html", limit=15)
    assert (written.rows, written.shown) == (32, 15)
    assert "the list has 15 of them, edited ones first" in (tmp_path / "page.html").read_text()
    assert index_of(tmp_path / "page.html")["row"] == edited


class _Tags(HTMLParser):
    """The tags of a page outside its own SVG and tables, and the types of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.scripts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs).get("type"))


def test_no_text_of_others_is_html(tmp_path: Path) -> None:
    dataset = hostile(tmp_path)
    written = write_page(dataset.path, tmp_path / "page.html", title=SCRIPT)
    html = (tmp_path / "page.html").read_text()
    tags = _Tags()
    tags.feed(html)
    assert tags.scripts == ["application/octet-stream", "application/octet-stream", "module"]
    assert "img" not in tags.found and 'onerror="' not in html and "broken'</script>" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", html)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-") and "http" not in policy
    # The million characters, before and as the removed part.
    assert written.texts_shortened == 1
    assert (
        details_of(tmp_path / "page.html")[1]["steps"][0]["results"][0]["text"]["left_out"] == len(LONG) - HEAD - TAIL
    )


@settings(deadline=None)
@given(st.text(max_size=40), st.integers(0, 3))
def test_a_shortened_text_says_by_how_much(text: str, times: int) -> None:
    text = text + "." * (times * 8_000)
    found = shortened(text)
    if isinstance(found, str):
        assert found == text and len(text) <= HEAD + TAIL
    else:
        assert (found["head"], found["tail"]) == (text[:HEAD], text[-TAIL:])
        assert found["left_out"] == len(text) - HEAD - TAIL > 0


INVISIBLE = (
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    r"\U000e0000-\U000e0fff]"
)


@settings(deadline=None)
@given(st.text() | st.text("a\x1b\u034f\u115f\u1160\u202e\u3164\uffa0\ufeff\U000e0041\U000e0100"))
def test_visible_text_has_no_character_that_cannot_be_seen(text: str) -> None:
    assert not re.search(INVISIBLE, visible(text))


def test_text_kept_and_group_rewards(tmp_path: Path) -> None:
    rows = [
        trajectory(step(call("ab"), think="abc", result="de"), id="a", group="g", reward=1.0),
        trajectory(step(think="x"), id="b", group="g", reward=-1.0),
        trajectory(id="c", group="h", reward=1.0),
        trajectory(id="d", group="h", reward=0.5),
        trajectory(id="e", group="alone", reward=-1.0),
        trajectory(id="f", group="i", reward=-1.0),
        trajectory(id="g", group="i", reward=-1.0),
        trajectory(id="h", group="i"),
    ]
    dataset = write_dataset(tmp_path / "raw", rows, shards=3)
    assert stored_text(dataset) == TextCost(turns=2, tokens=None, characters=len('{"code": "ab"}') + 3 + 2 + 1)
    found = group_rewards(dataset)
    assert found is not None
    assert found[:6] == (3, 1, 1, 1, -1.0, 1.0)
    assert {at: count for at, count in enumerate(found.means) if count} == {0: 1, 10: 1, 17: 1}
    with_ids = trajectory(step(call("ab"), reasoning_ids=[1, 2], action_ids=[3], observation_ids=[4, 5]))
    assert stored_text(write_dataset(tmp_path / "ids", [with_ids])).tokens == 5
    assert group_rewards(write_dataset(tmp_path / "one", [rows[0]])) is None


def test_a_dataset_without_rows_has_a_page(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    assert write_page(tmp_path / "raw", tmp_path / "page.html").shown == 0
    assert index_of(tmp_path / "page.html")["row"] == []


def test_call_text_is_left_out_only_where_calls_say_it(tmp_path: Path) -> None:
    bare = Step(action=Segment(text="<tool_call>{not json"), calls=[call("x").model_copy(update={"arguments": None})])
    both = step(call("x = 1"), raw="<tool_call>...</tool_call>")
    found = details(0, trajectory(bare, both))["steps"]
    assert [one["action"] for one in found] == ["<tool_call>{not json", ""]
    assert [one["calls"][0]["code"] for one in found] == ["", "x = 1"]


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = "import typer; from purify_cli.report import command; app = typer.Typer(); app.command()(command); app()"
    told = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True)


def test_the_command_says_what_it_wrote_and_left_out(demo: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "my report.html"
    run = command(demo.path, "-o", out, "--limit", "20", "--title", "Our rollouts")
    assert (run.returncode, run.stderr) == (0, "")
    size = f"{out.stat().st_size / 2**20:,.1f} MB"
    assert run.stdout.splitlines() == [
        out.as_uri(),
        f"32 trajectories counted, 20 listed, {size}",
        "12 trajectories are not listed (--limit 20): edited ones come first",
    ]
    assert "<h1>Our rollouts</h1>" in out.read_text()


def test_a_missing_library_is_one_line(demo: Dataset, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/matplotlib.py").write_text("raise ModuleNotFoundError('no', name='matplotlib')")
    program = "from purify.reporting.page import write_page"
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "hidden")},
        capture_output=True,
        text=True,
    )
    assert run.stderr.endswith(
        "PurifyError: write_page needs matplotlib; install it with: pip install 'purify-trajectories[report]'\n"
    )


def test_the_command_lists_as_many_as_the_function() -> None:
    from purify_cli import report

    assert report._LIMIT == LIMIT


def test_what_is_there_is_kept(demo: Dataset, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(PurifyError, match="is there already; add --overwrite to replace it"):
        write_page(demo.path, tmp_path / "page.html")
    with pytest.raises(PurifyError, match="is a directory; name the file to write, such as "):
        write_page(demo.path, tmp_path, overwrite=True)
    with pytest.raises(PurifyError, match="no such directory; create it"):
        write_page(demo.path, tmp_path / "none/page.html")
    assert (tmp_path / "page.html").read_text() == "mine"
    write_page(demo.path, tmp_path / "page.html", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
