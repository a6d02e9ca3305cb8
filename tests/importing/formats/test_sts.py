"""Importer `sts`: a session file is one row; sessions with gaps and other agents' sessions are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing import ImportConfig, import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.sts import Sts
from purify.importing.formats.sts_tree import MOST, ways_through
from purify.importing.records import plan_units, read_segment
from purify.importing.stage import rejection_reasons
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from purify_schemas.carried import conversation_digest
from tests.importing.damage import broken, outcome
from tests.importing.hostile import survives

HEADER = {"type": "session", "harness": "my-agent", "id": "abc123", "name": "what time is it"}


def said(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "message": {"role": role, "content": content, **more}}


# As in the documentation of the format, with thinking and a model.
CLOCK = [
    HEADER,
    said("user", "what time is it?", timestamp=1),
    said(
        "assistant",
        "",
        reasoningContent="I look.",
        toolCalls=[{"id": "t1", "function": {"name": "get_time", "arguments": "{}"}}],
        model="m",
    ),
    said("tool", "Error: no clock", toolCallId="t1"),
    said("assistant", "I do not know", model="m"),
]


def read(*lines: dict[str, Any]) -> list[Trajectory]:
    return Sts().read({"lines": list(lines)}, RecordContext("s.jsonl", 0, load_rules("tool")))


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


# An answer that was asked for again, as llama.app keeps it: its messages form a tree under an empty root.
AGAIN = [
    {**HEADER, "harness": "llama.app", "currNode": "a2"},
    said("system", "", id="root", type="root", parent=None, children=["u"]),
    said("user", "Why?", id="u", parent="root", children=["a1", "a2"]),
    said("assistant", "So.", id="a1", parent="u", children=[]),
    said("assistant", "Thus.", id="a2", parent="u", children=["v"]),
    said("user", "And?", id="v", parent="a2", children=["b"]),
    said("assistant", "Done.", id="b", parent="v", children=[]),
]


def test_each_way_through_a_tree_of_messages_is_a_row() -> None:
    first, second = read(*AGAIN)
    for row in (first, second):
        assert [(message.role, message.content) for message in row.messages] == [("user", "Why?")]
    assert [step.reasoning.text for step in first.steps] == ["So."]
    assert [step.reasoning.text for step in second.steps] == ["Thus.", "Done."]
    assert [message.content for message in second.steps[0].observation.messages] == ["And?"]
    assert first.trajectory_id != second.trajectory_id and first.group_id == second.group_id
    assert json.loads(second.extra or "") == {"id": "abc123", "name": HEADER["name"], "currNode": "a2"}

    asked = said("user", "And how?", id="w", parent="a1", children=[])
    rows = read(*AGAIN[:3], said("user", "What?", id="x", parent="root", children=[]), *AGAIN[3:])
    assert len(rows) == 2 and [m["content"] for m in json.loads(rows[0].extra or "")["unanswered"][0]] == ["What?"]
    assert rows[1].extra == second.extra  # told once
    assert read(*AGAIN, asked)[1].steps[0].observation.messages[0].content == "And how?"
    with pytest.raises(RejectedRecordError, match=r"line 4.message.content is missing"):
        read(*AGAIN[:3], {"type": "message", "message": {"role": "assistant", "id": "a1", "parent": "u"}})


def test_parents_that_come_later_or_are_unknown_form_no_tree() -> None:
    (row,) = read(HEADER, said("user", "Q", id="u", parent="a"), said("assistant", "A", id="a", parent="gone"))
    assert [step.reasoning.text for step in row.steps] == ["A"] and row.messages[0].content == "Q"


def test_a_stray_parent_makes_no_tree() -> None:
    called = {"id": "t1", "function": {"name": "get_time", "arguments": "{}"}}
    (row,) = read(
        HEADER,
        said("user", "Q", id="m1"),
        said("assistant", "", id="m2", toolCalls=[called]),
        said("tool", "noon", toolCallId="t1"),
        said("user", "And?", id="m3", parent="m2"),
        said("assistant", "A", id="m4"),
    )
    assert [message.content for message in row.messages] == ["Q"]
    assert [step.reasoning.text for step in row.steps] == ["", "A"]
    assert [message.content for message in row.steps[0].observation.messages] == ["noon", "And?"]


def test_a_tree_whose_ways_are_too_long_is_refused_before_they_are_built() -> None:
    chain = [said("user", "Q", id=f"m{at}", parent=f"m{at - 1}") for at in range(2000)]
    answers = [said("assistant", "A", id=f"a{at}", parent="m1999") for at in range(2000)]
    reason = "the 2,000 ways through its tree have too many messages: 4,002,000, at most 100,000 are read; remove"

    def refused(_: str) -> None:
        with pytest.raises(RejectedRecordError, match=reason):
            read(HEADER, *chain, *answers)

    assert survives(refused, "x")
    assert [len(row.messages) for row in read(HEADER, *chain, *answers[:2])] == [2000, 2000]


def test_one_long_way_repeats_nothing() -> None:
    chain = [said("user", "Q", id=f"m{at}", parent=f"m{at - 1}") for at in range(MOST)]
    assert [len(way) for way in ways_through([HEADER, *chain])] == [MOST]
    more = said("user", "Q", id="leaf", parent=f"m{MOST - 2}")
    with pytest.raises(RejectedRecordError, match="the 2 ways through its tree have too many messages: 200,000,"):
        ways_through([HEADER, *chain, more])


def test_a_session_is_a_row() -> None:
    assert Sts().recognise({"lines": CLOCK}) == "session of the harness my-agent"
    (row,) = read(*CLOCK)
    assert row.messages == [Message(role="user", content="what time is it?", extra='{"timestamp":1}')]
    assert (row.source.framework, row.source.model, row.task_id) == ("my-agent", "m", "s.jsonl#0")
    first, last = row.steps
    assert first.reasoning == Segment(text="I look.") and first.thinking_chars == 7
    (call,) = first.calls
    assert (call.id, call.name, call.arguments, call.status) == ("t1", "get_time", "{}", "error")
    assert first.observation == Observation(messages=[Message(role="tool", content="Error: no clock", call_id="t1")])
    assert last == Step(reasoning=Segment(text="I do not know"), extra='{"model":"m"}')
    assert row.extra is not None and json.loads(row.extra) == {"id": "abc123", "name": "what time is it"}


def test_what_a_line_says_beside_its_message_is_kept() -> None:
    lines = [{**line, "timestamp": at} for at, line in enumerate(CLOCK[1:])]
    (row,) = read(HEADER, *lines)
    assert [json.loads(message.extra or "") for message in row.messages] == [{"timestamp": 1, "line": {"timestamp": 0}}]
    first, last = row.steps
    assert json.loads(first.extra or "") == {"model": "m", "line": {"timestamp": 1}}
    assert first.observation.messages[0].extra == '{"line":{"timestamp":2}}'
    assert json.loads(last.extra or "") == {"model": "m", "line": {"timestamp": 3}}


def test_a_file_is_one_record_and_other_lines_stay_lines(tmp_path: Path) -> None:
    write(tmp_path / "clock.jsonl", *CLOCK)
    write(tmp_path / "gap.jsonl", *CLOCK[:3], '{"type": "mess', *CLOCK[3:])
    write(tmp_path / "pi.jsonl", {"type": "session", "version": 3}, said("user", "x"), said("assistant", "y"))
    kinds = [
        segment.kind for unit in plan_units(tmp_path, ["clock.jsonl", "gap.jsonl", "pi.jsonl"]) for segment in unit
    ]
    assert kinds == ["session", "session", "lines"]
    (unit,) = plan_units(tmp_path, ["clock.jsonl"])
    assert [read.record for segment in unit for read in read_segment(tmp_path, segment)] == [{"lines": CLOCK}]
    dataset = import_dump(tmp_path, tmp_path.parent / "out", ImportConfig(format="sts")).dataset
    assert [row.source.file for row in dataset] == ["clock.jsonl"]
    reasons = rejection_reasons(dataset)
    assert sum(reasons.values()) == dataset.manifest.rejected == 4
    assert any(reason.startswith("line 4: not JSON") for reason in reasons)
    assert any(reason == "lines is null, expected a list" for reason in reasons)


@pytest.mark.parametrize(
    "record",
    [
        {"lines": []},
        {"lines": [said("user", "x")]},
        {"lines": [{"type": "session", "id": "a"}]},
        {"lines": ["x"]},
        HEADER,
        {"messages": [{"role": "user", "content": "x"}]},
    ],
)
def test_other_records_are_not_claimed(record: dict[str, Any]) -> None:
    assert Sts().recognise(record) is None


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([HEADER], "no message has the role assistant"),
        ([said("user", "x")], "line 1 is no session header with a harness"),
        ([HEADER, {"type": "model_change"}], "line 2.type is 'model_change', expected 'message'"),
        ([HEADER, said("toolResult", "x")], "line 2.message.role is 'toolResult', expected one of: user, assistant"),
        (
            [HEADER, {"type": "message", "message": {"role": "user", "content": [{"type": "text", "text": "x"}]}}],
            "line 2.message.content is a list, expected a string",
        ),
        ([{**HEADER, "purify": "{"}, said("assistant", "x")], "line 1.purify is not JSON; remove it if the header was"),
        (
            [{**HEADER, "purify": '{"trajectory_id":"t","task_id":"t","group_id":"g"}'}, said("assistant", "x")],
            "line 1.purify: format: Field required; remove this member if the header was changed",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused(lines: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=reason):
        read(*lines)


SAID = [said("assistant", "yes"), *CLOCK[2:]]
CARRIED = {
    "format": "sts",
    "digest": conversation_digest({"messages": [line["message"] for line in SAID]}, "sts"),
    "trajectory_id": "abc123",
    "task_id": "k",
    "group_id": "g",
    "calls": [[{"name": "get_time"}], []],
    "not_sampled": [0],
}
METADATA = json.dumps({"tools": "[]", "not_sampled": [0], "edits": []})
OURS = [{**HEADER, "purify": json.dumps(CARRIED), "metadata": METADATA}, *SAID]


def test_our_own_session_is_the_row_it_was() -> None:
    (row,) = read(*OURS)
    assert (row.trajectory_id, row.tools, row.extra) == ("abc123", "[]", None)
    assert row.messages == [Message(role="assistant", content="yes")]
    assert row.steps[0].calls == [Call(name="get_time")] and row.steps[0].extra is None


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_is_read_or_refused(data: st.DataObject) -> None:
    record = data.draw(broken([{"lines": CLOCK}, {"lines": OURS}, {"lines": AGAIN}]))
    outcome(Sts(), record, RecordContext("s.jsonl", 0, load_rules("tool")))
