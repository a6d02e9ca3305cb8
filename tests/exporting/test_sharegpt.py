"""Format `sharegpt`: accepted as LLaMA-Factory accepts it, and read back by our own importer.

LLaMA-Factory's checks are made again here from src/llamafactory/data/converter.py (`SharegptDatasetConverter`) and
src/llamafactory/data/formatter.py (`FunctionFormatter`, with the `thought_words` of its reasoning templates).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.importing import import_dump
from purify.saar import SaarConfig
from purify_cli.main import app
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from tests.exporting.chat_rows import DUMPS, TOOLS, chat_rows, in_chat, thinking_row
from tests.exporting.round_trip import exported, imported, unedited
from tests.support import call, dump, step, trajectory, write_dataset

THOUGHT = re.compile(r"<think>\n(.*?)\n</think>\n\n", re.DOTALL)
TAG = re.compile(r"</?think>")


def accepted(record: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """(thought, calls) of each function_call, as LLaMA-Factory reads them. Fails where it would pass a record over."""
    items = record["conversations"]
    sides = [("human", "observation"), ("gpt", "function_call")]
    assert len(items) % 2 == 0 and all(item["from"] in sides[at % 2] for at, item in enumerate(items))
    found = []
    for item in items:
        if item["from"] == "function_call":
            thought = THOUGHT.search(item["value"])
            calls = json.loads(item["value"].replace(thought[0], "") if thought else item["value"])
            calls = calls if isinstance(calls, list) else [calls]
            found.append((thought[1] if thought else "", [(one["name"], one["arguments"]) for one in calls]))
    if record["tools"]:
        assert all(tool.get("function", tool)["name"] for tool in json.loads(record["tools"]))
    return found


def test_conversation_of_a_thinking_model(tmp_path: Path) -> None:
    system = [Message(role="system", content="Be brief.")]
    row = thinking_row()
    row = row.model_copy(update={"messages": [*system, *row.messages]})
    write_dataset(tmp_path / "raw", [row, trajectory(step(think="Hi."), id="t1")])
    report = export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="sharegpt"))
    first, second = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    calls = '[{"name": "python", "arguments": {"code": "1/0"}}, {"name": "search", "arguments": {"query":"π"}}]'
    results = "ZeroDivisionError: division by zero\n</tool_response>\n<tool_response>\n"
    assert (first["system"], json.loads(first["tools"])) == ("Be brief.", TOOLS)
    assert first["conversations"] == [
        {"from": "human", "value": "What is 6 times 7?"},
        {"from": "function_call", "value": f"<think>\nI divide.Let me see.\n</think>\n\n{calls}"},
        {"from": "observation", "value": results},
        {"from": "function_call", "value": '{"name": "python", "arguments": {"code": "1/1"}}'},
        {"from": "observation", "value": "1.0"},
        {"from": "gpt", "value": "It is 1."},
    ]
    assert accepted(first) == [
        ("I divide.Let me see.", [("python", {"code": "1/0"}), ("search", {"query": "π"})]),
        ("", [("python", {"code": "1/1"})]),
    ]
    assert (second["system"], second["tools"], accepted(second)) == ("", "", [])
    assert report.lost == {"joined": 1, "message_fields": 1, "null_texts": 1, "text_beside_calls": 1, "think_tags": 1}


def test_thinking_in_its_own_tags_and_malformed_calls_come_back_exactly() -> None:
    bad = Call(name="f", arguments='{"name": "f", "arguments": {', status="malformed", error_type="invalid_json")
    turns = [
        Step(
            reasoning=Segment(text="<think>\nWhy?\n</think>\n\n"),
            thinking_chars=21,
            calls=[Call(name="f", arguments="{}", status="ok")],
            observation=Observation(messages=[Message(role="tool", content="1")]),
        ),
        Step(
            reasoning=Segment(text="<think>a</think>So "),
            thinking_chars=16,
            action=Segment(text='<tool_call>{"name": "f", "arguments": {</tool_call>'),
            calls=[bad],
            observation=Observation(messages=[Message(role="tool", content="bad call")]),
        ),
        step(think="<think>b</think>Done.").model_copy(update={"thinking_chars": 16}),
    ]
    row = trajectory(*turns)
    records, tally = exported("sharegpt", row)
    assert imported("sharegpt", records) == [row]
    assert tally.lost == {"call_text": 1, "malformed_calls": 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (trajectory(), "no turn of the model"),
        (trajectory(step(think="a"), step(think="b")), "two turns of the model in a row"),
        (trajectory(step(call("1"), human="and 2?"), step(think="b")), "a tool's result and a user's words"),
        (
            trajectory(step(think="a")).model_copy(update={"messages": [Message(role="assistant", content="a")]}),
            "turns of a model in the prompt",
        ),
        (trajectory(step(think="a")).model_copy(update={"messages": []}), "no question before the first"),
    ],
)
def test_what_llama_factory_would_pass_over_is_skipped(row: Trajectory, reason: str) -> None:
    records, tally = exported("sharegpt", row)
    assert records == [] and [reason in told for told in tally.skipped] == [True]


def texts(row: Trajectory, *, spaced: bool = True) -> list[Any]:
    """What must come back even where a loss is counted: what was said, without tags and the space around them."""
    parts: list[Any] = [message.content or "" for message in row.messages if message.role == "system"]
    said: list[Any] = ["\n\n".join(parts)]
    said.append("\n\n".join(message.content or "" for message in row.messages if message.role != "system"))
    for at, turn in enumerate(row.steps):
        raw = turn.action.text if turn.action.text and any(c.status == "malformed" for c in turn.calls) else ""
        said.append("".join(TAG.sub("", (turn.reasoning.text or "") + (raw or "")).split()))
        said.append(turn.calls)
        if at < len(row.steps) - 1:
            pieces = [message.content or "" for message in turn.observation.messages]
            tool = any(message.role == "tool" for message in turn.observation.messages)
            said.append(("\n</tool_response>\n<tool_response>\n" if tool else "\n\n").join(pieces))
    return said


@settings(deadline=None, max_examples=80)
@given(chat_rows())
def test_calls_and_texts_come_back(row: Trajectory) -> None:
    records, tally = exported("sharegpt", row)
    if not records:
        assert sum(tally.skipped.values()) == 1
        return
    accepted(records[0])
    (back,) = imported("sharegpt", records)
    assert [turn.calls for turn in back.steps] == [turn.calls for turn in row.steps]
    if not tally.lost:
        assert back == unedited(row)


@pytest.mark.parametrize("name", DUMPS)
def test_real_rollouts_come_back(name: str, tmp_path: Path) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    clean(raw.path, tmp_path / "purified", SaarConfig(fraction=1.0))
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="sharegpt"))
    assert report.records + sum(report.skipped.values()) == len(raw)
    for record in datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache")):
        accepted(record)
    back = list(import_dump(tmp_path / "out/data", tmp_path / "back").dataset)
    written = [row for row in Dataset.open(tmp_path / "purified") if exported("sharegpt", row)[0]]
    assert len(back) == len(written) == report.records
    same = 0
    for row, one in zip(written, back, strict=True):
        assert texts(one) == texts(in_chat(row))
        if not exported("sharegpt", row)[1].lost.keys() - {"provenance"}:
            same += 1
            assert one == row.model_copy(update={"provenance": None})
    assert same == {"mathcoder": 18, "sharegpt": 147, "tora": 5}.get(name, 0)


def test_from_the_command_line(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [thinking_row(), trajectory(id="t1")])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "sharegpt"])
    assert result.exit_code == 0, result.output
    assert "1 records in 1 file(s) from 2 trajectories" in result.output
    assert "no record for 1 trajectories: no turn of the model" in result.output
