"""Format `sts`: the session files of the hub's trace viewer, and back up to the losses, also on real dumps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.importing import import_dump
from purify_cli.main import app
from purify_schemas import Edit, Message, Observation, Provenance, Step, Trajectory
from purify_schemas.carried import Carried
from tests.exporting.chat_rows import chat_step
from tests.exporting.round_trip import exported, imported, plain, rows, unedited
from tests.support import call, dump, step, trajectory, write_dataset


def example() -> Trajectory:
    turns = (
        step(call("1/0", "error"), think="hm, so:", result="boom", raw="<call>"),
        step(think="42", human="Thanks."),
    )
    row = trajectory(*turns, reward=1.0)
    first = row.steps[0].model_copy(update={"thinking_chars": 3})
    source = row.source.model_copy(update={"model": "m"})
    return row.model_copy(update={"steps": [first, row.steps[1]], "tools": "[ ]", "source": source, "answer": "42"})


def test_the_lines() -> None:
    edit = Edit(raw_steps=[0, 1], reasoning_from=0, accepted=True)
    row = example().model_copy(update={"provenance": Provenance(method="saar", config_digest="c", edits=[edit])})
    ((record,), tally) = exported("sts", row)
    header, *lines = record["lines"]
    assert json.loads(header["metadata"]) == {
        "task_id": "g0",
        "reward": 1.0,
        "final_answer": "42",
        "tools": "[ ]",
        "edits": [{"raw_steps": [0, 1], "accepted": True, "granularity": "shallow"}],
    }
    assert header == {
        "type": "session",
        "harness": "purify",
        "id": "t0",
        "name": "What is 6 times 7?",
        "metadata": header["metadata"],
        "purify": Carried.of(row, "sts", {"messages": [line["message"] for line in lines]}).json_text(),
    }
    assert {line["type"] for line in lines} == {"message"}
    function = {"name": "python", "arguments": '{"code": "1/0"}'}
    assert [line["message"] for line in lines] == [
        {"role": "user", "content": "What is 6 times 7?"},
        {
            "role": "assistant",
            "content": " so:",
            "reasoningContent": "hm,",
            "toolCalls": [{"id": "purify_call_0_0", "function": function}],
            "model": "m",
        },
        {"role": "tool", "content": "boom", "toolCallId": "purify_call_0_0"},
        {"role": "assistant", "content": "42", "model": "m"},
        {"role": "user", "content": "Thanks."},
    ]
    assert tally.lost == {"call_text": 1, "provenance": 1}
    assert imported("sts", [record]) == [without_losses(row)]


def test_turns_in_the_prompt_stay_there() -> None:
    calls = '[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]'
    shown = [Message(role="assistant", content="", tool_calls=calls), Message(role="tool", content="r", call_id="a")]
    row = trajectory(step(think="4"))
    row = row.model_copy(update={"messages": [*row.messages, *shown]})
    ((record,), tally) = exported("sts", row)
    assert json.loads(record["lines"][0]["metadata"])["not_sampled"] == [1]
    assert tally.lost == {"prompt_calls": 1}
    (back,) = imported("sts", [record])
    assert back.steps == row.steps and [message.role for message in back.messages] == ["user", "assistant", "tool"]
    assert json.loads(back.messages[1].tool_calls or "") == [
        {"type": "function", "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}
    ]


def without_losses(row: Trajectory) -> Trajectory:
    """Ids, raw call text, names, parts, extras, unusual roles and nulls are lost; a malformed call is text."""
    return plain(
        row.model_copy(
            update={
                "prompt_token_ids": None,
                "messages": list(map(_message, row.messages)),
                "steps": list(map(_step, row.steps)),
            }
        )
    )


def _message(message: Message) -> Message:
    role = {"developer": "system", "function": "tool"}.get(message.role, message.role)
    known = role in ("system", "user", "assistant", "tool")
    return Message(role=role if known else "user", content=message.content or "", call_id=message.call_id)


def _step(turn: Step) -> Step:
    """A turn is as in a chat, and what came back has fewer members."""
    shown = chat_step(turn)
    messages = [_message(message) for message in turn.observation.messages]
    kept = [
        one.model_copy(update={"call_id": told.call_id})
        for one, told in zip(messages, shown.observation.messages, strict=True)
    ]
    return shown.model_copy(update={"observation": Observation(messages=kept)})


@settings(deadline=None, max_examples=100)
@given(rows())
def test_an_exported_row_comes_back(row: Trajectory) -> None:
    records, tally = exported("sts", row)
    if not row.steps:
        assert records == [] and tally.skipped == {"no turn of the model": 1}
        return
    assert imported("sts", records) == [without_losses(row)]
    assert tally.lost or without_losses(row) == unedited(row), "a loss that is not told"


@pytest.mark.parametrize("name", ["mint", "tau-bench", "nemo-gym", "sharegpt", "tora"])
def test_real_dumps_come_back(name: str, tmp_path: Path) -> None:
    import_dump(dump(name), tmp_path / "raw")
    clean(tmp_path / "raw", tmp_path / "purified")
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="sts"))
    data = load_dataset(str(tmp_path / "out"), split="train", parse_agent_traces=False, cache_dir=str(tmp_path / "c"))
    assert sum(kind == "session" for kind in data["type"]) == report.records
    assert report.records + sum(report.skipped.values()) == report.rows
    back = import_dump(tmp_path / "out/data", tmp_path / "back").dataset
    expected: list[Any] = [without_losses(row) for row in Dataset.open(tmp_path / "purified") if row.steps]
    if "prompt_calls" in report.lost:
        expected = [row.model_copy(update={"messages": []}) for row in expected]
        assert [row.model_copy(update={"messages": []}) for row in back] == expected
    else:
        assert list(back) == expected


def test_through_the_command_line_and_load_dataset(tmp_path: Path) -> None:
    rows = [example().model_copy(update={"trajectory_id": f"t{number}"}) for number in range(4)]
    write_dataset(tmp_path / "raw", rows, shards=2)
    run = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "sts"])
    assert run.exit_code == 0, run.output
    files = sorted(path.name for path in (tmp_path / "out/data").iterdir())
    assert files == [f"train-{number:05d}-of-00004.jsonl" for number in range(4)]
    data = load_dataset(
        str(tmp_path / "out"), split="train", parse_agent_traces=False, cache_dir=str(tmp_path / "cache")
    )
    assert len(data) == 4 * 6 and data[0]["id"] == "t0" and data[2]["message"]["reasoningContent"] == "hm,"
    again = export(tmp_path / "raw", tmp_path / "again", ExportConfig(to="sts"), workers=2)
    written = json.loads((tmp_path / "out/export.json").read_text())["files"]
    assert [file.sha256 for file in again.files] == [file["sha256"] for file in written]
