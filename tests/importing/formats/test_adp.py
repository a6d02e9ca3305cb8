from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.adp import AgentDataProtocol
from purify_schemas import (
    Call,
    Message,
    Observation,
    Reward,
    Segment,
    Step,
    ToolState,
    Trajectory,
)
from tests.importing.damage import damaged, outcome, put
from tests.importing.hostile import survives
from tests.support import dump

CONTEXT = RecordContext("sample_std.json", 0, Rules.load("adp"))
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}


def api(function: str, kwargs: Any, **fields: Any) -> dict[str, Any]:
    return {"class_": "api_action", "function": function, "kwargs": kwargs, **fields}


def code(content: str, language: str = "bash", **fields: Any) -> dict[str, Any]:
    return {"class_": "code_action", "language": language, "content": content, **fields}


def says(content: str, **fields: Any) -> dict[str, Any]:
    return {"class_": "message_action", "content": content, **fields}


def text(content: str, source: str = "environment", **fields: Any) -> dict[str, Any]:
    return {"class_": "text_observation", "content": content, "name": None, "source": source, **fields}


def record(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "t1", "content": list(content), "details": {}, **fields}


def read(*content: dict[str, Any], **fields: Any) -> Trajectory:
    (row,) = AgentDataProtocol().read(record(*content, **fields), CONTEXT)
    return row


def test_actions_and_observations() -> None:
    got = read(
        text("How many?", "user"),
        code("ls /x", description="I list.", reasoning_content="Hm. ", reward=0.5),
        text("ls: cannot access '/x': No such file or directory"),
        api("open", {"path": "a.py", "line": 3}, description=None),
        text("shown", "user", reward=1.0),
        says("What else?"),
        text("Go on.", "user", name="Ann"),
        says("<finish> <solution> 220 </solution> </finish>", description="I am done."),
        details={"model_name": "llama", "exit_status": "done", "resolved": True},
        schema_version="1.2.0",
    )
    assert got.messages == [Message(role="user", content="How many?")]
    assert got.steps == [
        Step(
            reasoning=Segment(text="Hm. I list."),
            thinking_chars=4,
            calls=[
                Call(
                    name="bash",
                    arguments='{"code": "ls /x"}',
                    status="error",
                    error_type="no_such_file",
                    status_source="rule:shell/no_such_file",
                )
            ],
            observation=Observation(
                messages=[Message(role="tool", content="ls: cannot access '/x': No such file or directory")]
            ),
            extra='{"reward":0.5}',
        ),
        Step(
            calls=[Call(name="open", arguments='{"path":"a.py","line":3}', **OK)],
            observation=Observation(
                messages=[Message(role="tool", content="shown", extra='{"reward":1.0,"source":"user"}')]
            ),
        ),
        Step(
            reasoning=Segment(text="What else?"),
            observation=Observation(messages=[Message(role="user", name="Ann", content="Go on.")]),
        ),
        Step(
            reasoning=Segment(text="I am done.\n\n<finish> <solution> 220 </solution> </finish>"),
            extra='{"description":"I am done."}',
        ),
    ]
    assert got.tool_state == [ToolState(name="bash", state="external"), ToolState(name="open", state="external")]
    assert (got.task_id, got.answer, got.finish_reason, got.reward) == ("t1", "220", "stop", 1.0)
    assert (got.source.framework, got.source.model) == ("agent-data-protocol", "llama")
    assert json.loads(got.extra or "") == {"exit_status": "done", "schema_version": "1.2.0"}


def test_tool_actions_in_a_row_with_ids_are_one_turn() -> None:
    got = read(
        api("f", {}, tool_call_id="a", description="Both."),
        api("g", {}, tool_call_id="b", description="Really."),
        text("Error: no g", tool_call_id="b"),
        text("fine", tool_call_id="a"),
        api("f", {}, tool_call_id="c"),
        text("fine", tool_call_id="c"),
    )
    first, second = got.steps
    assert first.reasoning.text == "Both.\n\nReally."
    assert [(call.id, call.name, call.status) for call in first.calls] == [("a", "f", "ok"), ("b", "g", "error")]
    assert [message.call_id for message in first.observation.messages] == ["b", "a"]
    assert [call.id for call in second.calls] == ["c"]


def test_tool_actions_in_a_row_without_ids_are_turns_of_their_own() -> None:
    got = read(code("a"), code("b"), text("x"), text("y"))
    assert [(step.calls[0].status, len(step.observation.messages)) for step in got.steps] == [("unknown", 0), ("ok", 2)]


@pytest.mark.parametrize(
    ("kwargs", "arguments", "kept"),
    [
        ("{'a': 1, 'b': 'x\\ny'}", '{"a": 1, "b": "x\\ny"}', False),
        ('{"a": None}', '{"a": null}', True),
        ("not a dict", '{"kwargs": "not a dict"}', False),
        ("[1]", '{"kwargs": "[1]"}', False),
        ("{1: 2}", '{"kwargs": "{1: 2}"}', False),
        ({}, "{}", False),
    ],
)
def test_arguments(kwargs: Any, arguments: str, kept: bool) -> None:
    (step,) = read(api("f", kwargs), text("x")).steps
    assert step.calls == [Call(name="f", arguments=arguments, **OK)]
    assert step.extra == (json.dumps({"kwargs": kwargs}, separators=(",", ":")) if kept else None)


def test_what_acts_on_files_and_the_editor_is_external() -> None:
    names = ["edit", "create", "open", "goto", "scroll_up", "scroll_down", "submit", "find_file", "search_dir", "click"]
    got = read(*(api(name, {}) for name in names))
    assert [state.name for state in got.tool_state if state.state != "external"] == ["click"]


def test_arguments_that_are_no_text_are_a_rejection(tmp_path: Path) -> None:
    lines = [record(api("f", "{'a': '\\ud800'}"), text("x")), record(api("f", "{'a': 1}"), text("x"), id="t2")]
    (tmp_path / "std.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    dataset = import_dump(tmp_path / "std.jsonl", tmp_path / "raw").dataset
    assert [row.task_id for row in dataset] == ["t2"]
    (entry,) = map(json.loads, (tmp_path / "raw/rejected/rejected.jsonl").read_text().splitlines())
    assert entry["reason"] == "a string holds half a surrogate pair, which is not text; write U+FFFD instead"
    assert (entry["row"], json.loads(entry["record"])) == (0, lines[0])
    assert dataset.manifest.counts["calls"] == 1


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("<solution> 1 </solution> <solution>2</solution>", "1"),
        ("<solution> 1", "<solution> 1"),
        ("</solution><solution><solution>3</solution>", "<solution>3"),
    ],
)
def test_the_solution_is_the_first_that_is_closed(said: str, answer: str) -> None:
    assert read(says(said)).answer == answer


@pytest.mark.parametrize("piece", ["<solution>", "</solution>", "<finish>", "</finish>", "</finish> "])
def test_a_solution_is_found_in_linear_time(piece: str) -> None:
    assert survives(lambda said: read(says(said)), piece)


def test_other_observations() -> None:
    page = {"class_": "web_observation", "html": "<p>", "axtree": "p", "url": "u", "image_observation": None}
    image = {"class_": "image_observation", "content": "a.png", "annotations": None, "source": "environment"}
    data = {"class_": "json_observation", "content": {"a": 1}, "source": "environment"}
    got = read(page, api("click", {}), page | {"axtree": None}, api("see", {}), image, api("get", {}), data)
    assert got.messages == [
        Message(role="tool", content="p", extra='{"html":"<p>","url":"u","class_":"web_observation"}')
    ]
    assert [step.observation.messages for step in got.steps] == [
        [Message(role="tool", content="<p>", extra='{"url":"u","class_":"web_observation"}')],
        [Message(role="tool", parts='[{"type":"image","image":"a.png"}]', extra='{"class_":"image_observation"}')],
        [Message(role="tool", content='{"a":1}', extra='{"class_":"json_observation"}')],
    ]


def test_what_details_say_and_a_patch() -> None:
    details = {"generated_patch": "diff", "id": "other", "scores": {"a": 0.5}}
    got = read(text("q", "user"), says("<finish> I did it! </finish>"), details=details)
    assert (got.task_id, got.answer, got.rewards) == ("t1", "diff", [Reward(name="a", value=0.5)])
    assert json.loads(got.extra or "") == {"details": {"id": "other"}}
    assert read(text("q", "user"), says("Paris.")).answer == "Paris."
    assert read(code("ls"), text("x")).answer is None


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("content",), {}, "content is an object, expected a list"),
        (("content",), [], "content has no action"),
        (("content", 1), 3, "content[1] is a number, expected an object"),
        (("content", 1, "class_"), "dance", "content[1].class_ 'dance' is no action or observation of"),
        (("content", 1, "kwargs"), 3, "content[1].kwargs is a number, expected an object or its text"),
        (("content", 1, "function"), None, "content[1].function is null, expected a string"),
        (("content", 2, "content"), 3, "content[2].content is a number, expected a string"),
        (("content", 2, "source"), 3, "content[2].source is a number, expected a string or null"),
        (("details",), "x", "details is a string, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    bad = record(text("q", "user"), api("f", {}), text("x"))
    put(bad, path, value)
    with pytest.raises(RejectedRecordError) as error:
        AgentDataProtocol().read(bad, CONTEXT)
    assert str(error.value).startswith(reason)


def test_other_records_are_not_recognised() -> None:
    assert AgentDataProtocol().recognise(record(says("x"))) == "content of actions and observations with class_"
    others: list[dict[str, Any]] = [
        {},
        {"id": "x", "content": "text"},
        record(),
        {"content": [says("x")]},
        record({"class_": "dance"}),
        record({"role": "user"}),
        {"id": "x", "conversations": [{"from": "gpt", "value": "x"}]},
    ]
    assert not any(AgentDataProtocol().recognise(one) for one in others)


BASE = record(
    text("q", "user"),
    api("f", "{'a': 1}", tool_call_id="a", description="d"),
    code("ls", tool_call_id="b", reasoning_content="r"),
    text("x", tool_call_id="a"),
    {"class_": "web_observation", "html": "h", "axtree": None, "url": "u", "tool_call_id": "b"},
    says("<finish> <solution> 1 </solution> </finish>", description="d"),
    details={"generated_patch": "diff", "model_name": "m"},
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(AgentDataProtocol(), damaged(BASE, data), CONTEXT)


# Real samples.


@pytest.mark.parametrize(
    ("name", "steps", "calls", "failures"),
    [
        ("agenttuning_os", [7, 6, 6, 7, 8], {"bash": 24}, {}),
        ("codeactinstruct", [4, 5, 3, 3, 3], {"python": 11}, {"OperationalError": 1}),
        (
            "nebius_SWE-agent-trajectories",
            [7, 15, 6, 9, 17],
            {"bash": 17, "edit": 13, "open": 5, "submit": 5, "find_file": 4, "create": 2, "search_file": 2, "goto": 1},
            {"ValueError": 3, "IndentationError": 3, "NotJSONError": 1},
        ),
    ],
)
def test_real_samples(
    name: str, steps: list[int], calls: dict[str, int], failures: dict[str, int], tmp_path: Path
) -> None:
    path = dump(f"adp/{name}__sample_std.json")
    dataset = import_dump(path, tmp_path / "raw").dataset
    rows = list(dataset)
    assert (dataset.manifest.records_in, dataset.manifest.rejected) == (5, 0)
    made = [call for row in rows for step in row.steps for call in step.calls]
    assert [len(row.steps) for row in rows] == steps
    assert Counter(call.name for call in made) == calls
    assert Counter(call.error_type for call in made if call.failed) == failures
    assert {call.status for call in made} <= {"ok", "error"}
    assert {row.finish_reason for row in rows} == {"stop"}

    for row, source in zip(rows, json.loads(path.read_bytes()), strict=True):
        texts = [message.content for message in row.messages]
        texts += [message.content for step in row.steps for message in step.observation.messages]
        assert texts == [item["content"] for item in source["content"] if item["class_"] == "text_observation"]
        codes = [json.loads(call.arguments or "") for step in row.steps for call in step.calls]
        assert [made["code"] for made in codes if made.keys() == {"code"}] == [
            item["content"] for item in source["content"] if item["class_"] == "code_action"
        ]
        if patch := source["details"].get("generated_patch"):
            assert row.answer == patch
    if name == "agenttuning_os":
        assert [row.answer for row in rows] == ["0", "3", "55", "5", "6"]


FRAME = "EXECUTION RESULT of [{}]:\n"
FAILURES: dict[str, list[tuple[str, int, tuple[str, str, str]]]] = {
    "agenttuning_os": [],
    "codeactinstruct": [
        (
            "oct28_full6728/tabular/wiki_table_questions/nt-12427/claude-instant-1/max5_p2+tool+cd",
            1,
            ("error", "OperationalError", "rule:exceptions/exception"),
        )
    ],
    "nebius_SWE-agent-trajectories": [
        *(
            ("tempoCollaboration__OQuPy-74_55", at, ("error", "ValueError", "rule:exceptions/exception"))
            for at in (2, 6, 8)
        ),
        *(
            ("ReviewNB__treon-25_38", at, ("error", "IndentationError", "rule:swe-agent/edit_not_applied"))
            for at in (5, 6, 7)
        ),
        ("ReviewNB__treon-25_38", 12, ("error", "NotJSONError", "rule:exceptions/exception")),
    ],
}


@pytest.mark.parametrize("name", FAILURES)
def test_real_conversations_fail_the_same_calls(name: str, tmp_path: Path) -> None:
    """`*_sft.json` holds the same trajectories as conversations, each with one call of `finish` more."""
    std = list(import_dump(dump(f"adp/{name}__sample_std.json"), tmp_path / "std").dataset)
    sft = list(import_dump(dump(f"adp/{name}__sample_sft.json"), tmp_path / "sft").dataset)
    assert [row.source.format for row in (*std, *sft)] == ["adp"] * 5 + ["sharegpt"] * 5
    assert [row.task_id for row in std] == [row.task_id for row in sft]
    failures = []
    for row, other in zip(std, sft, strict=True):
        assert [(call.name, call.status) for call in other.steps[-1].calls] == [("finish", "unknown")]
        for at, (step, same) in enumerate(zip(row.steps[:-1], other.steps[:-1], strict=True)):
            assert [judged(call) for call in step.calls] == [judged(call) for call in same.calls]
            failures += [(row.task_id, at, judged(call)) for call in step.calls if call.failed]
            if at + 2 < len(row.steps):  # the last words of the environment are drawn anew
                frame = FRAME.format(same.calls[0].name) if same.calls else ""
                texts = [[frame + (message.content or "") for message in step.observation.messages]]
                assert texts == [[message.content for message in same.observation.messages]]
    assert failures == FAILURES[name]


def judged(call: Call) -> tuple[str, str | None, str | None]:
    return call.status, call.error_type, call.status_source
