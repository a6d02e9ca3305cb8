"""Format `recovery`: a prompt for each failed call, from raw and from purified rows alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.exporting.formats.recovery import diagnosis, recovered_in, result_of
from purify.importing import import_dump
from purify.saar import SaarConfig
from purify_cli.main import app
from purify_schemas import Call, Edit, Message, Observation, Provenance, Trajectory
from tests.exporting.chat_rows import TOOLS, chat_rows, cleaned, failing_row, rendered
from tests.exporting.chat_rows import toy as toy
from tests.exporting.round_trip import exported
from tests.support import call, dump, step, trajectory, write_dataset


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def test_a_failed_call_is_the_end_of_a_prompt(tmp_path: Path) -> None:
    source = cleaned(tmp_path, [failing_row(reward=1.0), trajectory(step(think="42"), id="t1")])
    assert not any(turn.failed for row in Dataset.open(source) for turn in row.steps)
    report = export(source, tmp_path / "out", ExportConfig(to="recovery"))
    (record,) = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert record["prompt"][-3:] == [
        {
            "role": "assistant",
            "content": "I think.",
            "tool_calls": [{"type": "function", "function": {"name": "python", "arguments": {"code": "print(a * 7"}}}],
        },
        {"role": "tool", "content": "SyntaxError: '(' unclosed"},
        {
            "role": "user",
            "content": "Your call of `python` failed (SyntaxError). Its result ends with:\n"
            "SyntaxError: '(' unclosed\n"
            "Find out what is wrong with it, then go on with a call that avoids it.",
        },
    ]
    assert len(record["prompt"]) == 6 and record["tools"] == TOOLS
    assert without(record, "prompt", "tools") == {
        "trajectory_id": "t0",
        "group_id": "g0",
        "task_id": "g0",
        "reward": 1.0,
        "final_answer": None,
        "reference": "42",
        "step": 1,
        "call": 0,
        "tool": "python",
        "status": "error",
        "error_type": "SyntaxError",
        "recovered_in": 1,
    }
    assert report.lost == {"later_turns": 1} and report.skipped == {"no failed call": 1}


def test_purified_and_raw_give_the_same_prompts(tmp_path: Path) -> None:
    rows = [failing_row(id=f"t{at}", first=f"{at}") for at in range(3)]
    source = cleaned(tmp_path, rows, shards=2)
    export(source, tmp_path / "one", ExportConfig(to="recovery"), workers=2)
    export(tmp_path / "raw", tmp_path / "two", ExportConfig(to="recovery"))
    files = [sorted((tmp_path / out / "data").iterdir()) for out in ("one", "two")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]] and len(files[0]) == 2


@pytest.mark.parametrize(
    ("failed", "result", "told"),
    [
        (call("1", "timeout"), None, "Your call of `python` took too long and was stopped. Find out"),
        (
            Call(status="malformed", error_type="invalid_json"),
            "  \n",
            "Your call could not be read (invalid_json). Find out",
        ),
        (call("1", "error"), "a\n  b  \n\n", "Your call of `python` failed. Its result ends with:\nb\nFind out"),
        (call("1", "error"), "x" * 400, f"Its result ends with:\n{'x' * 300}\nFind"),
    ],
)
def test_diagnosis(failed: Call, result: str | None, told: str) -> None:
    assert told in diagnosis(failed, result)


def test_each_of_several_parallel_failures_has_its_own_result() -> None:
    both = step(call("1", "error"), Call(name="search", arguments="{}", status="error"))
    messages = [Message(role="tool", content="first"), Message(role="tool", content="second")]
    turn = both.model_copy(update={"observation": Observation(messages=messages)})
    assert [result_of(turn, at) for at in range(2)] == ["first", "second"]
    swapped = turn.model_copy(
        update={
            "calls": [one.model_copy(update={"id": f"c{at}"}) for at, one in enumerate(turn.calls)],
            "observation": Observation(
                messages=[one.model_copy(update={"call_id": f"c{1 - at}"}) for at, one in enumerate(messages)]
            ),
        }
    )
    assert [result_of(swapped, at) for at in range(2)] == ["second", "first"]
    one = turn.model_copy(update={"observation": Observation(messages=messages[:1])})
    assert [result_of(one, at) for at in range(2)] == ["first", "first"]
    records, _ = exported("recovery", trajectory(turn))
    assert [(record["step"], record["call"], record["tool"]) for record in records] == [
        (0, 0, "python"),
        (0, 1, "search"),
    ]
    assert "second" in rendered(records[1]["prompt"])[-1]["content"]


def test_whether_the_policy_recovered_itself() -> None:
    search = Call(name="search", arguments="{}", status="ok")
    row = trajectory(step(call("1", "error")), step(search), step(call("2", "unknown")), step(call("3")))
    assert recovered_in(row, 0, row.steps[0].calls[0]) == 3
    assert recovered_in(row, 0, Call(status="malformed")) == 1
    assert recovered_in(row, 3, row.steps[0].calls[0]) is None


def test_what_was_rolled_back_while_generating_is_not_there() -> None:
    online = Provenance(method="saar", config_digest="c", online=True, edits=[Edit(raw_steps=[0, 1], accepted=True)])
    records, tally = exported("recovery", failing_row(provenance=online))
    assert len(records) == 1 and tally.lost == {"later_turns": 1, "online_edits": 1, "provenance": 1}


@settings(deadline=None, max_examples=60)
@given(chat_rows())
def test_as_many_prompts_as_failed_calls(row: Trajectory) -> None:
    row = row.model_copy(update={"provenance": None})
    failed = [(at, position) for at, turn in enumerate(row.steps) for position, c in enumerate(turn.calls) if c.failed]
    records, tally = exported("recovery", row)
    assert [(record["step"], record["call"]) for record in records] == failed
    assert (not failed) == (tally.skipped == {"no failed call": 1})


@pytest.mark.parametrize(("name", "failed"), [("mint", 306), ("mathcoder", 214), ("tau-bench", 33), ("nemo-gym", 39)])
def test_real_failures(name: str, failed: int, tmp_path: Path, toy: Any) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    assert sum(c.failed for row in raw for turn in row.steps for c in turn.calls) == failed
    clean(raw.path, tmp_path / "purified", SaarConfig(fraction=1.0))
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="recovery"))
    assert report.records == failed
    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    for record in data:
        text = toy[1].apply_chat_template(
            record["prompt"], tools=record["tools"], tokenize=False, add_generation_prompt=True
        )
        assert text.endswith("go on with a call that avoids it.<|im_end|>\n<|im_start|>assistant\n")


def test_from_the_command_line(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [failing_row()])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "recovery"])
    assert result.exit_code == 0, result.output
    assert "1 records in 1 file(s) from 1 trajectories" in result.output
