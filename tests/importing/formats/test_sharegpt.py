from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.sharegpt import ShareGPT
from purify_schemas import Call, Message, Observation, Segment, Source, Step, ToolState, Trajectory
from tests.importing.damage import broken
from tests.support import dump

OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
FAILED: dict[str, Any] = {
    "status": "error",
    "error_type": "tool_error",
    "status_source": "rule:error_prefix/error_prefix",
}
NO_RESULT: dict[str, Any] = {"status": "unknown", "status_source": "no_result"}

IMPORTER = ShareGPT()
RULES = Rules.load(IMPORTER.default_rules)
SEARCH = '{"name": "search", "arguments": {"q": "rice"}}'


def context() -> RecordContext:
    return RecordContext("a.json", 3, RULES)


def read(record: dict[str, Any]) -> Trajectory:
    (row,) = IMPORTER.read(record, context())
    return row


def steps(*said: tuple[str, Any]) -> list[Step]:
    return read({"conversations": [{"from": tag, "value": value} for tag, value in (("human", "go"), *said)]}).steps


def test_a_whole_record() -> None:
    record = {
        "id": "x1",
        "system": "Be brief.",
        "tools": '[{"name": "search", "parameters": {}}]',
        "origin": "demo",
        "conversations": [
            {"from": "human", "value": "Find rice."},
            {"from": "function_call", "value": SEARCH, "weight": 1},
            {"from": "observation", "value": "Error: down"},
            {"from": "gpt", "value": "It is down."},
            {"from": "human", "value": "Thanks"},
        ],
    }
    assert read(record) == Trajectory(
        trajectory_id=digest("a.json", 3, 0),
        task_id="x1",
        group_id=digest(None, "a.json", "x1", None),
        messages=[Message(role="system", content="Be brief."), Message(role="user", content="Find rice.")],
        tools='[{"type":"function","function":{"name":"search","parameters":{}}}]',
        tool_state=[ToolState(name="search", state="unknown")],
        steps=[
            Step(
                calls=[Call(name="search", arguments='{"q": "rice"}', **FAILED)],
                observation=Observation(messages=[Message(role="tool", content="Error: down")]),
                extra='{"weight":1}',
            ),
            Step(
                reasoning=Segment(text="It is down."),
                observation=Observation(messages=[Message(role="user", content="Thanks")]),
            ),
        ],
        source=Source(format="sharegpt", file="a.json", row=3),
        extra='{"origin":"demo"}',
    )


def test_hermes_text_keeps_its_raw_action() -> None:
    text = f"<think>hm</think>Search.\n<tool_call>\n{SEARCH}\n</tool_call>"
    (step,) = steps(("gpt", text), ("tool", "<tool_response>\nError: down\n</tool_response>"))
    assert step == Step(
        reasoning=Segment(text="<think>hm</think>Search.\n"),
        thinking_chars=17,
        action=Segment(text=f"<tool_call>\n{SEARCH}\n</tool_call>"),
        calls=[Call(name="search", arguments='{"q": "rice"}', **FAILED)],
        observation=Observation(
            messages=[Message(role="tool", content="<tool_response>\nError: down\n</tool_response>")]
        ),
    )


@pytest.mark.parametrize(
    ("results", "statuses"),
    [
        ([("tool", "<tool_response>fine</tool_response>\n<tool_response>Error: x</tool_response>")], ["ok", "error"]),
        # LLaMA-Factory joins without the outer tags.
        ([("observation", "fine\n</tool_response>\n<tool_response>\nError: x")], ["ok", "error"]),
        ([("human", "<tool_response>fine</tool_response><tool_response>Error: x</tool_response>")], ["ok", "error"]),
        ([("tool", "fine"), ("tool", "Error: x")], ["ok", "error"]),
        ([("observation", '["fine", "Error: x"]')], ["ok", "error"]),
        (
            [("observation", '[{"name": "a", "content": "fine"}, {"name": "b", "content": "Error: x"}]')],
            ["ok", "error"],
        ),
        (
            [("observation", '[{"name": "b", "content": "Error: x"}, {"name": "a", "content": "fine"}]')],
            ["ok", "error"],
        ),
        (
            [("tool", '<tool_response>{"name": "b", "content": "Error: x"}</tool_response>')],
            ["unknown", "error"],
        ),
        ([("observation", ["fine", "Error: x"])], ["ok", "error"]),
        # Not one result for each call: by order.
        ([("observation", "[1, 2, 3]")], ["ok", "unknown"]),
        ([("observation", "Error: x")], ["error", "unknown"]),
        ([], ["unknown", "unknown"]),
    ],
)
def test_results_of_parallel_calls(results: list[tuple[str, Any]], statuses: list[str]) -> None:
    calls = '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]'
    (step,) = steps(("function_call", calls), *results)
    assert [call.status for call in step.calls] == statuses
    assert [message.role for message in step.observation.messages] == ["tool"] * len(results)


def test_one_result_in_an_envelope_is_judged_by_its_content() -> None:
    (step,) = steps(("function_call", SEARCH), ("observation", '[{"name": "search", "content": "Error: x"}]'))
    assert step.calls == [Call(name="search", arguments='{"q": "rice"}', **FAILED)]
    (step,) = steps(("function_call", SEARCH), ("observation", '{"content": "Error: x"}'))
    assert step.calls == [Call(name="search", arguments='{"q": "rice"}', **OK)]


def test_results_of_other_frameworks_are_judged_by_their_rules() -> None:
    call = "<function=execute_bash>\n<parameter=command>\nedit 1:1\n</parameter>\n</function>"
    said = "Your proposed edit has introduced new syntax error(s).\n\nERRORS:\n- E999 IndentationError: bad indent\n"
    prompt = "\n(Open file: /a.py)\n(Current directory: /)\nbash-$"
    (step,) = steps(("function_call", call), ("observation", f"EXECUTION RESULT of [execute_bash]:\n{said}{prompt}"))
    assert [(made.status, made.error_type, made.status_source) for made in step.calls] == [
        ("error", "IndentationError", "rule:swe-agent/edit_not_applied")
    ]
    (step,) = steps(("function_call", call), ("observation", f"EXECUTION RESULT of [execute_bash]:\nDone.{prompt}"))
    assert [(made.status, made.status_source) for made in step.calls] == [("ok", "no_rule")]


def test_calls_that_cannot_be_parsed() -> None:
    hermes, value, arguments = steps(
        ("gpt", '<tool_call>{"name": "f", "arguments": {</tool_call>'),
        ("tool", "fine"),
        ("function_call", "ls"),
        ("function_call", '{"name": "f", "arguments": [1]}'),
    )
    unparsable: dict[str, Any] = {"status": "malformed", "error_type": "invalid_json", "status_source": "call_text"}
    assert hermes.calls == [Call(name="f", arguments='{"name": "f", "arguments": {', **unparsable)]
    assert (value.action.text, value.calls) == ("ls", [Call(arguments="ls", **unparsable)])
    assert arguments.calls == [Call(name="f", arguments="[1]", **unparsable | {"status_source": "arguments"})]


def test_tags_and_members_that_a_row_cannot_express_are_kept() -> None:
    row = read(
        {
            "conversations": [
                {"from": "user", "value": "go"},
                {"from": "chatgpt", "value": "hm"},
                {"from": "critic", "value": "no"},
                {"from": "tool_call", "value": {"name": "f", "arguments": {}, "why": 1}},
                {"from": "function_response", "value": {"a": 1}},
                {"from": "human", "value": "<tool_response>x</tool_response>"},
            ]
        }
    )
    first, second = row.steps
    assert row.messages == [Message(role="user", content="go")]
    assert first == Step(
        reasoning=Segment(text="hm"),
        observation=Observation(messages=[Message(role="critic", content="no")]),
        extra='{"from":"chatgpt"}',
    )
    assert second.extra == '{"from":"tool_call","value":{"name":"f","arguments":{},"why":1}}'
    assert second.observation.messages == [
        Message(role="tool", content='{"a": 1}', extra='{"from":"function_response"}'),
        Message(role="tool", content="<tool_response>x</tool_response>", extra='{"from":"human"}'),
    ]


def test_null_and_empty_values() -> None:
    null, empty = steps(("gpt", None), ("observation", None), ("gpt", ""), ("observation", ""))
    assert null == Step(observation=Observation(messages=[Message(role="tool")]))
    assert empty == Step(
        reasoning=Segment(text=""), observation=Observation(messages=[Message(role="tool", content="")])
    )


def test_hermes_text_in_chat_messages() -> None:
    record = {
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": f"<tool_call>{SEARCH}</tool_call>", "tool_calls": None},
            {"role": "user", "content": "<tool_response>fine</tool_response>"},
            {"role": "assistant", "content": "done"},
        ]
    }
    assert IMPORTER.recognise(record) == "messages with <tool_call> in the text"
    first, second = read(record).steps
    assert first.calls == [Call(name="search", arguments='{"q": "rice"}', **OK)]
    assert first.extra == '{"tool_calls":null}'
    assert first.observation.messages == [
        Message(role="tool", content="<tool_response>fine</tool_response>", extra='{"role":"user"}')
    ]
    assert second == Step(reasoning=Segment(text="done"))


def part(kind: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "value": value, **more}


def said(role: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts), **more}


def test_llama_factory_parts() -> None:
    row = read(
        {
            "messages": [
                said("system", part("text", "s")),
                said("user", part("text", "look"), part("image_url", "i.png")),
                said("assistant", part("reasoning", "hm"), part("text", "So."), part("tool_call", SEARCH)),
                said("tool", part("text", '[{"tool_call_id": "c1", "name": "search", "content": "Error: x"}]')),
                said("assistant", part("reasoning", "hm"), part("text", "Down."), loss_weight=1.0),
            ]
        }
    )
    assert row.messages == [
        Message(role="system", content="s"),
        Message(role="user", content="look", parts='[{"type":"image_url","value":"i.png"}]'),
    ]
    assert row.steps == [
        Step(
            reasoning=Segment(text="hmSo."),
            thinking_chars=2,
            calls=[Call(name="search", arguments='{"q": "rice"}', **FAILED)],
            observation=Observation(
                messages=[
                    Message(role="tool", content='[{"tool_call_id": "c1", "name": "search", "content": "Error: x"}]')
                ]
            ),
        ),
        Step(reasoning=Segment(text="hmDown."), thinking_chars=2, extra='{"loss_weight":1.0}'),
    ]


@pytest.mark.parametrize(
    ("parts", "reasoning", "thinking", "calls"),
    [
        ([], None, 0, 0),
        ([part("text", "a"), part("reasoning", "b")], "a", 0, 0),
        ([part("reasoning", "a"), part("reasoning", "b")], "ab", 2, 0),
        ([part("tool_call", SEARCH), part("text", "after")], None, 0, 1),
        ([part("tool_call", f"[{SEARCH},{SEARCH}]")], None, 0, 2),
        ([part("tool_call", '{"name": "f", "why": 1}')], None, 0, 1),
        ([part("text", "a", weight=1)], "a", 0, 0),
        ([part("image_url", "i.png")], None, 0, 0),
    ],
)
def test_parts_that_a_turn_cannot_express_are_kept(
    parts: list[dict[str, Any]], reasoning: str | None, thinking: int, calls: int
) -> None:
    messages = [said("user", part("text", "go")), said("assistant", *parts)]
    (step,) = read({"messages": messages}).steps
    assert (step.reasoning.text, step.thinking_chars, len(step.calls)) == (reasoning, thinking, calls)
    assert json.loads(step.extra or "") == {"content": parts}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": "x"}, "no conversation: none of conversations, conversation, messages"),
        ({"conversations": "x"}, "conversations is a string, expected a list"),
        ({"conversations": [5]}, "conversations[0] is a number, expected an object"),
        ({"conversations": []}, "conversations has no assistant turn; its roles: none"),
        (
            {"conversations": [{"from": "human", "value": ""}, {"from": "bot", "value": ""}]},
            "conversations has no assistant turn; its roles: bot, human",
        ),
        ({"conversations": [{"from": 5}]}, "conversations[0].from is a number, expected a string"),
        ({"conversations": [{"from": "gpt", "value": ""}, {"value": ""}]}, "conversations[1].from is missing"),
        (
            {"conversations": [{"from": "gpt", "value": 5}]},
            "conversations[0].value is a number, expected a string or null",
        ),
        (
            {"conversations": [{"from": "human", "value": {}}]},
            "conversations[0].value is an object, expected a string or null",
        ),
        ({"conversations": [{"from": "function_call"}]}, "conversations[0].value is null, expected the call"),
        ({"messages": [said("user", part("text", 5))]}, "messages[0].content[0].value is a number, expected a string"),
        (
            {"messages": [said("user", part("text", "")), said("assistant", part("tool_call", {}))]},
            "messages[1].content[0].value is an object, expected a string",
        ),
        (
            {"messages": [said("user", part("text", "")), {"role": "assistant", "content": "x"}]},
            "messages[1].content is a string, expected a list",
        ),
    ],
)
def test_rejections_name_the_place(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError) as caught:
        read(record)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"conversations": [{"from": "human"}, {"from": "gpt"}]}, "conversations with from and value"),
        ({"conversation": [{"from": "function_call"}]}, "conversation with from and value"),
        ({"conversations": [{"from": "human"}]}, None),
        ({"messages": [said("user", part("text", "x"))]}, "messages with LLaMA-Factory parts"),
        ({"messages": [{"role": "assistant", "content": "<tool_call>"}]}, "messages with <tool_call> in the text"),
        ({"messages": [{"role": "user", "content": "<tool_call>"}]}, None),
        ({"messages": [{"role": "assistant", "content": "<tool_call>", "tool_calls": [{}]}]}, None),
        ({"messages": [{"role": "assistant", "content": "hello"}]}, None),
        # MathCoder's parts have no `value`.
        ({"messages": [said("user", {"type": "text", "content": "x"})], "debug_result": []}, None),
        ({"conversations": []}, None),
        ({"conversations": "x"}, None),
        ({"conversations": [5]}, None),
        ({}, None),
    ],
)
def test_recognise(record: dict[str, Any], why: str | None) -> None:
    assert IMPORTER.recognise(record) == why
    assert why is None or OpenAIMessages().recognise(record) is None


GOOD: list[dict[str, Any]] = [
    {
        "id": "x1",
        "system": "s",
        "tools": '[{"name": "search"}]',
        "conversations": [
            {"from": "human", "value": "go"},
            {"from": "gpt", "value": f"<think>hm</think><tool_call>{SEARCH}</tool_call>"},
            {"from": "tool", "value": "<tool_response>x</tool_response>"},
            {"from": "function_call", "value": {"name": "f", "arguments": {}}},
            {"from": "observation", "value": [{"name": "f", "content": "x"}]},
        ],
    },
    {
        "messages": [
            said("user", part("text", "go"), part("image_url", "i.png")),
            said("assistant", part("reasoning", "hm"), part("tool_call", SEARCH)),
            said("tool", part("text", '[{"name": "f", "content": "x"}]')),
        ]
    },
    {"messages": [{"role": "assistant", "content": f"<tool_call>{SEARCH}</tool_call>"}]},
]


@given(broken(GOOD))
def test_a_broken_record_is_read_or_rejected(record: dict[str, Any]) -> None:
    IMPORTER.recognise(record)
    try:
        rows = IMPORTER.read(record, context())
    except RejectedRecordError as error:
        assert str(error)
    else:
        assert len(rows) == 1


def counted(rows: Sequence[Trajectory]) -> tuple[int, int, dict[str, int]]:
    statuses: Counter[str] = Counter(call.status for row in rows for step in row.steps for call in step.calls)
    return len(rows), sum(len(row.steps) for row in rows), dict(statuses)


def test_real_glaive() -> None:
    records = json.loads(dump("sharegpt/glaive_toolcall_en_demo.json").read_text())
    assert {IMPORTER.recognise(record) for record in records} == {"conversations with from and value"}
    rows = [read(record) for record in records]
    assert counted(rows) == (300, 957, {"ok": 211})
    for row, record in zip(rows, records, strict=True):
        rebuilt: list[tuple[str, Any]] = [("human", message.content) for message in row.messages]
        for step in row.steps:
            for call in step.calls:
                rebuilt.append(("function_call", {"name": call.name, "arguments": json.loads(call.arguments or "")}))
            if not step.calls:
                rebuilt.append(("gpt", step.reasoning.text))
            tags = {"user": "human", "tool": "observation"}
            rebuilt += [(tags[message.role], message.content) for message in step.observation.messages]
        given_turns = [(turn["from"], turn["value"]) for turn in record["conversations"]]
        assert rebuilt == [(tag, json.loads(v) if tag == "function_call" else v) for tag, v in given_turns]
        functions = [tool["function"] for tool in json.loads(row.tools or "[]")]
        assert functions == json.loads(record["tools"])


def test_real_llama_factory_parts() -> None:
    lines = dump("sharegpt/reason_tool_use_demo_50.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert {IMPORTER.recognise(record) for record in records} == {"messages with LLaMA-Factory parts"}
    rows = [read(record) for record in records]
    # 11 conversations end with calls that nobody answers, 20 in all.
    assert counted(rows) == (50, 112, {"ok": 48, "unknown": 20})
    for row, record in zip(rows, records, strict=True):
        rebuilt = [said(message.role, part("text", message.content)) for message in row.messages]
        for step in row.steps:
            text = step.reasoning.text or ""
            parts = [part("reasoning", text[: step.thinking_chars])]
            if not step.calls:
                parts.append(part("text", text[step.thinking_chars :]))
            for call in step.calls:
                parts.append(part("tool_call", f'{{"name": "{call.name}", "arguments": {call.arguments}}}'))
            rebuilt.append(said("assistant", *parts))
            rebuilt += [said(message.role, part("text", message.content)) for message in step.observation.messages]
        assert rebuilt == record["messages"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("agenttuning_os__sample_sft", (5, 34, {"ok": 24, "unknown": 5})),
        ("codeactinstruct__sample_sft", (5, 18, {"ok": 10, "unknown": 5, "error": 1})),
        ("nebius_SWE-agent-trajectories__sample_sft", (5, 54, {"ok": 42, "unknown": 5, "error": 7})),
    ],
)
def test_real_agent_data_protocol(name: str, expected: tuple[int, int, dict[str, int]]) -> None:
    records = json.loads(dump(f"adp/{name}.json").read_text())
    assert {IMPORTER.recognise(record) for record in records} == {"conversations with from and value"}
    rows = [read(record) for record in records]
    # Each conversation ends with a call of `finish`, which gives nothing back.
    assert counted(rows) == expected
    for row, record in zip(rows, records, strict=True):
        assert row.task_id == record["id"]
        assert row.messages[0] == Message(role="system", content=record["system"])
        rebuilt: list[tuple[str, str | None]] = [("human", message.content) for message in row.messages[1:]]
        for step in row.steps:
            rebuilt.append(
                ("function_call" if step.calls else "gpt", (step.reasoning.text or "") + (step.action.text or ""))
            )
            tags = {"user": "human", "tool": "observation"}
            rebuilt += [(tags[message.role], message.content) for message in step.observation.messages]
        assert rebuilt == [(turn["from"], turn["value"]) for turn in record["conversations"]]
        assert {call.name for step in row.steps for call in step.calls} == {*TOOLS[name], "finish"}


TOOLS = {
    "agenttuning_os__sample_sft": ["execute_bash"],
    "codeactinstruct__sample_sft": ["execute_ipython_cell"],
    "nebius_SWE-agent-trajectories__sample_sft": ["execute_bash"],
}
