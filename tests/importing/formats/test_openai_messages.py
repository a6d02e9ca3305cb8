from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.config import ImportConfig
from purify.importing.formats.openai_messages import OpenAIMessages
from purify_schemas import Call, Message, Observation, Reward, Segment, Source, Step, ToolState, Trajectory
from tests.importing.damage import broken
from tests.support import dump

OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
FAILED: dict[str, Any] = {
    "status": "error",
    "error_type": "tool_error",
    "status_source": "rule:error_prefix/error_prefix",
}
NO_RESULT: dict[str, Any] = {"status": "unknown", "status_source": "no_result"}
BAD_ARGUMENTS: dict[str, Any] = {"status": "malformed", "error_type": "invalid_json", "status_source": "arguments"}

IMPORTER = OpenAIMessages()
RULES = Rules.load(IMPORTER.default_rules)
ASK = {"role": "user", "content": "go"}


def context() -> RecordContext:
    return RecordContext("runs/a.jsonl", 3, RULES)


def read(record: dict[str, Any]) -> Trajectory:
    (row,) = IMPORTER.read(record, context())
    return row


def steps(*messages: dict[str, Any]) -> list[Step]:
    return read({"messages": [ASK, *messages]}).steps


def tool_call(name: Any, arguments: Any = "{}", id: str | None = "c1", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": arguments}, **more}
    return made if id is None else {"id": id, **made}


def calling(*calls: dict[str, Any], content: Any = None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **more}


def result(content: Any, id: str | None = "c1", **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **({} if id is None else {"tool_call_id": id}), **more}


def test_a_whole_record() -> None:
    tools = [{"type": "function", "function": {"name": "python", "parameters": {}}}]
    record = {
        "task_id": 17,
        "trial": 2,
        "model": "qwen3",
        "temperature": 0.7,
        "top_p": 0.9,
        "reward": 1,
        "ground_truth": "42",
        "answer": "41",
        "finish_reason": "stop",
        "tools": tools,
        "seen_by": ["a"],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "6 times 7?"},
            calling(tool_call("python", '{"code": "6*7"}'), content="Let me compute."),
            result("42", name="python"),
            {"role": "assistant", "content": "42"},
            {"role": "user", "content": "thanks"},
        ],
    }
    assert read(record) == Trajectory(
        trajectory_id=digest(None, "runs/a.jsonl", "17", None, 2),
        task_id="17",
        group_id=digest(None, "runs/a.jsonl", "17", None),
        sample_index=2,
        messages=[Message(role="system", content="Be brief."), Message(role="user", content="6 times 7?")],
        tools=json.dumps(tools, separators=(",", ":")),
        tool_state=[ToolState(name="python", state="unknown")],
        steps=[
            Step(
                reasoning=Segment(text="Let me compute."),
                calls=[Call(id="c1", name="python", arguments='{"code": "6*7"}', **OK)],
                observation=Observation(
                    messages=[Message(role="tool", name="python", content="42", call_id="c1")],
                ),
            ),
            Step(
                reasoning=Segment(text="42"),
                observation=Observation(messages=[Message(role="user", content="thanks")]),
            ),
        ],
        answer="41",
        reference="42",
        reward=1.0,
        finish_reason="stop",
        source=Source(
            format="openai", file="runs/a.jsonl", row=3, model="qwen3", temperature=0.7, sampling='{"top_p":0.9}'
        ),
        extra='{"seen_by":["a"]}',
    )


def test_parallel_results_find_their_calls_by_id() -> None:
    (step,) = steps(
        calling(tool_call("a", id="c1"), tool_call("b", id="c2")), result("Error: no", id="c2"), result("fine", id="c1")
    )
    assert step.calls == [
        Call(id="c1", name="a", arguments="{}", **OK),
        Call(id="c2", name="b", arguments="{}", **FAILED),
    ]
    assert [message.call_id for message in step.observation.messages] == ["c2", "c1"]


def test_results_without_ids_go_by_name_then_by_order() -> None:
    (step,) = steps(
        calling(tool_call("a", id=None), tool_call("b", id=None), tool_call("a", id=None)),
        result("Error: b", id=None, name="b"),
        result("fine", id=None),
        result("Error: a", id=None),
    )
    assert [call.status for call in step.calls] == ["ok", "error", "error"]
    assert [message.call_id for message in step.observation.messages] == [None, None, None]


def test_a_result_with_an_unknown_id_goes_by_order_and_keeps_it_in_extra() -> None:
    (step,) = steps(calling(tool_call("a"), tool_call("b", id="c2")), result("Error: x", id="zz"), result("y", id="c1"))
    assert [call.status for call in step.calls] == ["ok", "error"]
    assert step.observation.messages[0] == Message(
        role="tool", content="Error: x", call_id="c2", extra='{"tool_call_id":"zz"}'
    )


def test_a_result_too_many_stays_an_observation() -> None:
    (step,) = steps(calling(tool_call("a")), result("fine"), result("Error: x", id="zz"))
    assert step.calls == [Call(id="c1", name="a", arguments="{}", **OK)]
    assert step.observation.messages[1] == Message(role="tool", content="Error: x", extra='{"tool_call_id":"zz"}')


def test_two_results_of_one_call_are_judged_together() -> None:
    (step,) = steps(calling(tool_call("a")), result("Error: x"), result("more"))
    assert step.calls == [Call(id="c1", name="a", arguments="{}", **FAILED)]


def test_a_late_result_is_not_taken_for_another_turns() -> None:
    first, second = steps(
        calling(tool_call("a", id="c1")), calling(tool_call("b", id="c2")), result("Error: x", id="c1")
    )
    assert first.calls == [Call(id="c1", name="a", arguments="{}", **NO_RESULT)]
    assert second.calls == [Call(id="c2", name="b", arguments="{}", **NO_RESULT)]
    assert second.observation.messages == [Message(role="tool", content="Error: x", extra='{"tool_call_id":"c1"}')]


def test_an_id_may_be_used_again_in_a_later_turn() -> None:
    first, second = steps(calling(tool_call("a")), result("fine"), calling(tool_call("b")), result("Error: x"))
    assert (first.calls[0].status, second.calls[0].status) == ("ok", "error")


def test_a_result_without_a_call_and_a_system_message_between_turns() -> None:
    (step,) = steps({"role": "assistant", "content": "hm"}, result("x", id="c9"), {"role": "system", "content": "!"})
    assert step == Step(
        reasoning=Segment(text="hm"),
        observation=Observation(
            messages=[Message(role="tool", content="x", call_id="c9"), Message(role="system", content="!")]
        ),
    )


@pytest.mark.parametrize(
    ("content", "text", "extra"),
    [
        (None, None, None),
        ("", "", None),
        ([{"type": "text", "text": "a"}], "a", None),
        (
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "ab",
            '{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}',
        ),
        ([], None, '{"content":[]}'),
    ],
)
def test_assistant_content(content: Any, text: str | None, extra: str | None) -> None:
    assert steps({"role": "assistant", "content": content}) == [Step(reasoning=Segment(text=text), extra=extra)]


@pytest.mark.parametrize(
    ("content", "text", "parts", "extra"),
    [
        (None, None, None, None),
        ("", "", None, None),
        (
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": 1}],
            "a",
            '[{"type":"image_url","image_url":1}]',
            None,
        ),
        ([{"type": "image_url", "image_url": 1}], None, '[{"type":"image_url","image_url":1}]', None),
        (
            [{"type": "image_url", "image_url": 1}, {"type": "text", "text": "a"}],
            "a",
            '[{"type":"image_url","image_url":1}]',
            '{"content":[null,{"type":"text","text":"a"}]}',
        ),
        (
            [{"type": "text", "text": "a", "cache_control": {}}],
            "a",
            None,
            '{"content":[{"type":"text","text":"a","cache_control":{}}]}',
        ),
    ],
)
def test_message_content(content: Any, text: str | None, parts: str | None, extra: str | None) -> None:
    (step,) = steps(calling(tool_call("a")), result(content))
    expected = Message(role="tool", content=text, parts=parts, call_id="c1", extra=extra)
    assert step.observation.messages == [expected]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_comes_first(key: str) -> None:
    (step,) = steps({"role": "assistant", "content": "So 42.", key: "Hmm. "})
    assert step == Step(reasoning=Segment(text="Hmm. So 42."), thinking_chars=5)


def test_thinking_with_null_content_and_twice_and_as_a_part() -> None:
    null, twice, different, part = steps(
        {"role": "assistant", "content": None, "reasoning": "a"},
        {"role": "assistant", "content": "", "reasoning": "a", "reasoning_content": "a", "thinking": None},
        {"role": "assistant", "content": "", "reasoning": "b", "reasoning_content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}]},
    )
    assert null == Step(reasoning=Segment(text="a"), thinking_chars=1, extra='{"content":null}')
    assert twice == Step(reasoning=Segment(text="a"), thinking_chars=1)
    assert different == Step(reasoning=Segment(text="a"), thinking_chars=1, extra='{"reasoning":"b"}')
    assert part == Step(
        reasoning=Segment(text="ab"),
        thinking_chars=1,
        extra='{"content":[{"type":"thinking","thinking":"a"},{"type":"text","text":"b"}]}',
    )


def test_old_function_call() -> None:
    (step,) = steps(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "Error: x"},
    )
    assert step.calls == [Call(name="f", arguments="{}", **FAILED)]
    assert step.observation.messages == [Message(role="function", name="f", content="Error: x")]


@pytest.mark.parametrize(
    ("given_call", "expected", "extra"),
    [
        (tool_call("f", {"x": 1}), Call(id="c1", name="f", arguments='{"x":1}', **OK), None),
        (tool_call("f", {}), Call(id="c1", name="f", arguments="{}", **OK), None),
        (tool_call("f", None), Call(id="c1", name="f", **OK), None),
        (tool_call("f", ""), Call(id="c1", name="f", arguments="", **OK), None),
        (tool_call("f", '{"x": NaN}'), Call(id="c1", name="f", arguments='{"x": NaN}', **OK), None),
        (tool_call("f", '{"x": '), Call(id="c1", name="f", arguments='{"x": ', **BAD_ARGUMENTS), None),
        (tool_call("f", "[1]"), Call(id="c1", name="f", arguments="[1]", **BAD_ARGUMENTS), None),
        ({"name": "f", "arguments": {}}, Call(name="f", arguments="{}", **OK), None),
        (
            {"id": "c1", "function": "f", "arguments": {"x": 1}, "type": "function"},
            Call(id="c1", name="f", arguments='{"x":1}', **OK),
            None,
        ),
        (
            {"id": "c1", "function": "f", "arguments": {}, "parse_error": "bad"},
            Call(
                id="c1",
                name="f",
                arguments="{}",
                status="malformed",
                error_type="parse_error",
                status_source="source:parse_error",
            ),
            '{"tool_calls":[{"parse_error":"bad"}]}',
        ),
        (
            {"index": 0, "type": "custom", "function": {"name": None, "strict": True}},
            Call(**OK),
            '{"tool_calls":[{"index":0,"function":{"strict":true},"type":"custom"}]}',
        ),
    ],
)
def test_forms_of_a_call(given_call: dict[str, Any], expected: Call, extra: str | None) -> None:
    (step,) = steps(calling(given_call), result("fine", id=None))
    assert (step.calls, step.extra) == ([expected], extra)


def test_arguments_that_do_not_parse_and_what_came_back() -> None:
    judged, silent = steps(calling(tool_call("f", "{")), result("Error: x"), calling(tool_call("f", "{")))
    assert judged.calls == [Call(id="c1", name="f", arguments="{", **FAILED)]
    assert silent.calls == [Call(id="c1", name="f", arguments="{", **BAD_ARGUMENTS)]


@pytest.mark.parametrize(
    ("flag", "outcome"),
    [
        ({"is_error": True}, ("error", None, "source:is_error")),
        ({"error": {"type": "parsing", "message": "m"}}, ("malformed", "parsing", "source:error")),
        ({"error": {"type": "timeout", "message": "m"}}, ("timeout", "timeout", "source:error")),
        ({"error": {"type": "approval", "message": "m"}}, ("rejected", "approval", "source:error")),
        ({"error": {"type": "permission", "message": "m"}}, ("error", "permission", "source:error")),
        ({"error": {"type": 5}}, ("error", None, "source:error")),
        ({"error": "boom"}, ("error", None, "source:error")),
        ({"error": True}, ("error", None, "source:error")),
        ({"status": "error"}, ("error", None, "source:status")),
        ({"status": "timeout"}, ("timeout", None, "source:status")),
        ({"status": "success"}, ("ok", None, "no_rule")),
        ({"is_error": False, "error": None, "status": None}, ("ok", None, "no_rule")),
        ({"error": {"type": None, "message": None}}, ("ok", None, "no_rule")),
    ],
)
def test_flags_of_the_source_win(flag: dict[str, Any], outcome: tuple[str, str | None, str]) -> None:
    (step,) = steps(calling(tool_call("f")), result("fine", **flag))
    (call,) = step.calls
    assert (call.status, call.error_type, call.status_source) == outcome
    assert json.loads(step.observation.messages[0].extra or "") == flag


def test_fields_not_understood_survive_at_every_level() -> None:
    row = read(
        {
            "meta": {"a": None},
            "messages": [
                {**ASK, "weight": 0},
                calling(tool_call("f"), annotations=[], refusal=None),
                result("x", latency=2.5),
            ],
        }
    )
    assert row.extra == '{"meta":{"a":null}}'
    assert row.messages == [Message(role="user", content="go", extra='{"weight":0}')]
    assert row.steps[0].extra == '{"annotations":[],"refusal":null}'
    assert row.steps[0].observation.messages[0].extra == '{"latency":2.5}'


def test_a_prompt_that_the_completion_repeats_is_there_once() -> None:
    turn = {"role": "assistant", "content": "a"}
    row = read({"prompt": [ASK, turn, ASK], "completion": [ASK, turn, ASK, {"role": "assistant", "content": "b"}]})
    assert [message.content for message in row.messages] == ["go", "a", "go"]
    assert [step.reasoning.text for step in row.steps] == ["b"]


def test_a_sample_number_counts_within_the_tasks_own_id() -> None:
    """Two tasks of one prompt: one group by prompt, and four rows."""
    by_prompt = RecordContext("runs/a.jsonl", 3, RULES, ImportConfig(task_by="prompt"))
    records = [
        {"id": task, "trial": trial, "messages": [ASK, {"role": "assistant", "content": "a"}]}
        for task in ("x", "y")
        for trial in (0, 1)
    ]
    rows = [row for record in records for row in IMPORTER.read(record, by_prompt)]
    assert len({row.group_id for row in rows}) == 1 and len({row.trajectory_id for row in rows}) == 4


def test_trl_prompt_and_completion() -> None:
    shown = calling(tool_call("f"), content="like this")
    row = read(
        {
            "prompt": [{"role": "system", "content": "s"}, shown, result("r"), ASK],
            "completion": [{"role": "assistant", "content": "a"}],
        }
    )
    assert row.messages == [
        Message(role="system", content="s"),
        Message(role="assistant", content="like this", tool_calls=json.dumps([tool_call("f")], separators=(",", ":"))),
        Message(role="tool", content="r", call_id="c1"),
        Message(role="user", content="go"),
    ]
    assert row.steps == [Step(reasoning=Segment(text="a"))]
    assert row.extra is None


def test_the_finish_reason_may_stand_in_the_last_message() -> None:
    row = read({"messages": [{"role": "assistant", "content": "a", "stop_reason": "max_tokens"}]})
    assert row.finish_reason == "length"
    assert row.steps[0].extra == '{"stop_reason":"max_tokens"}'


def test_a_system_field_is_the_first_message_unless_there_is_one() -> None:
    said = {"role": "assistant", "content": "a"}
    row = read({"system": "s", "messages": [ASK, said]})
    assert (row.messages, row.extra) == (
        [Message(role="system", content="s"), Message(role="user", content="go")],
        None,
    )
    row = read({"system": "s", "messages": [{"role": "system", "content": "own"}, said]})
    assert (row.messages, row.extra) == ([Message(role="system", content="own")], '{"system":"s"}')


TAU = {
    "task_id": 0,
    "reward": 0.0,
    "info": {"source": "user", "reward_info": {"reward": 0.0, "info": {"r_actions": 0.0, "gt_data_hash": "ab"}}},
    "traj": [ASK, calling(tool_call("book")), result("Error: full", name="book"), {**ASK, "content": "###STOP###"}],
    "trial": 1,
}


def test_tau_bench() -> None:
    row = read(TAU)
    assert row.trajectory_id == digest("tau-bench", "runs/a.jsonl", "0", None, 1)
    assert (row.task_id, row.sample_index, row.reward) == ("0", 1, 0.0)
    assert row.rewards == [Reward(name="r_actions", value=0.0)]
    assert row.tool_state == [ToolState(name="book", state="external")]
    assert row.source == Source(framework="tau-bench", format="openai", file="runs/a.jsonl", row=3)
    assert json.loads(row.extra or "") == {"info": TAU["info"]}
    assert [message.role for message in row.steps[-1].observation.messages] == ["tool", "user"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"text": "x"},
            "no chat messages: none of messages, conversation, conversations, traj, trajectory, "
            "nor prompt with completion",
        ),
        ({"messages": {"role": "user"}}, "messages is an object, expected a list"),
        ({"messages": []}, "messages has no assistant turn"),
        ({"traj": [ASK]}, "traj has no assistant turn"),
        ({"messages": ["hi"]}, "messages[0] is a string, expected an object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role is missing"),
        ({"messages": [{"role": None}]}, "messages[0].role is null, expected a string"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content is a number, expected a string, null or a list of parts",
        ),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0] is a string, expected an object"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type is missing"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text is missing"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]},
            "messages[0].content[0] is an Anthropic tool_result block, not an OpenAI content part",
        ),
        ({"messages": [{"role": "user", "name": 5}]}, "messages[0].name is a number, expected a string or null"),
        (
            {"messages": [ASK, calling(), {"role": "tool", "tool_call_id": []}]},
            "messages[2].tool_call_id is a list, expected a string or null",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": {"id": "a"}}]},
            "messages[0].tool_calls is an object, expected a list",
        ),
        ({"messages": [calling({"id": "a"})]}, "messages[0].tool_calls[0].function is missing"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [None]}]},
            "messages[0].tool_calls[0] is null, expected an object",
        ),
        (
            {"messages": [calling(tool_call("f", 5))]},
            "messages[0].tool_calls[0].function.arguments is a number, expected a JSON string, an object or null",
        ),
        (
            {"messages": [calling(tool_call(5))]},
            "messages[0].tool_calls[0].function.name is a number, expected a string or null",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": 1}]},
            "messages[0].function is a number, expected an object",
        ),
        ({"prompt": [{}], "completion": []}, "prompt[0].role is missing"),
        ({"messages": [{"role": "assistant"}], "tools": 5}, "tools is a number, expected a list or its JSON text"),
        (
            {"messages": [{"role": "assistant", "x": b"1"}]},
            "messages[0] cannot be written as JSON: Object of type bytes is not JSON serializable",
        ),
    ],
)
def test_rejections_name_the_place(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError) as caught:
        read(record)
    assert str(caught.value) == reason


def chat(text: str, key: str = "messages", **more: Any) -> dict[str, Any]:
    return {key: [ASK, {"role": "assistant", "content": text}], **more}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (TAU, "tau-bench record: traj, task_id, trial, reward, info"),
        ({"messages": [ASK, calling(tool_call("f"), content="```python")]}, "messages with roles and tool_calls"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages with roles and tool_calls"),
        (chat("hello", "conversations"), "conversations with roles, no calls"),
        ({"prompt": [ASK], **chat("hello", "completion")}, "completion with roles, no calls"),
        ({"prompt": "text", **chat("hello", "completion")}, None),
        (chat("```python\n1\n```\n```output\n1\n```"), None),
        (chat('<tool_call>{"name": "f"}</tool_call>'), None),
        (chat("hello", debug_result=[]), None),
        (chat("hello", responses_create_params={}), None),
        (chat("hello", gt_cot="c", gt="1"), None),
        ({"messages": [ASK, {"role": "assistant", "content": [{"type": "text", "value": "x"}]}]}, None),
        ({"messages": [ASK, {"role": "assistant", "content": [{"type": "tool_use"}]}]}, None),
        ({"messages": [ASK, {"role": "assistant", "content": [{"type": "text", "text": "<tool_call>"}]}]}, None),
        ({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "y"}]}, None),
        ({"messages": [ASK]}, None),
        ({"messages": []}, None),
        ({"messages": "x"}, None),
        ({"messages": [5]}, None),
        ({"trajectory": [{"action": "ls", "observation": "a"}]}, None),
        ({}, None),
    ],
)
def test_recognise(record: dict[str, Any], why: str | None) -> None:
    assert IMPORTER.recognise(record) == why


GOOD: list[dict[str, Any]] = [
    TAU,
    {
        "id": "a",
        "tools": [{"name": "f"}],
        "rewards": {"x": 1},
        "temperature": 0.5,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "go"}]},
            calling(tool_call("f", '{"x": 1}'), reasoning_content="hm", content="so"),
            result("x", error={"type": "timeout", "message": "m"}),
            {"role": "assistant", "function_call": {"name": "f", "arguments": {"x": 1}}},
            {"role": "function", "name": "f", "content": "y"},
        ],
    },
    {"prompt": [ASK], "completion": [{"role": "assistant", "content": "a"}], "success": True},
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


def rebuilt(row: Trajectory) -> list[dict[str, Any]]:
    """tau-bench's messages, from a row."""
    messages: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in row.messages]
    for step in row.steps:
        calls = [
            {"function": {"arguments": call.arguments, "name": call.name}, "id": call.id, "type": "function"}
            for call in step.calls
        ]
        messages.append(
            {"content": step.reasoning.text, "role": "assistant", **({"tool_calls": calls} if calls else {})}
        )
        for m in step.observation.messages:
            tool = {"tool_call_id": m.call_id, "name": m.name} if m.role == "tool" else {}
            messages.append({"role": m.role, **tool, "content": m.content})
    return messages


def test_real_tau_bench() -> None:
    records = json.loads(dump("tau-bench/gpt-4o-airline_first80.json").read_text())
    assert {IMPORTER.recognise(record) for record in records} == {
        "tau-bench record: traj, task_id, trial, reward, info"
    }
    rows = [read(record) for record in records]
    calls = [call for row in rows for step in row.steps for call in step.calls]
    assert (len(rows), sum(len(row.steps) for row in rows), len(calls)) == (80, 1060, 501)
    # All 33 failures, and nothing else in the dump, begin with "Error".
    assert Counter((call.status, call.status_source) for call in calls) == {
        ("ok", "no_rule"): 468,
        ("error", "rule:error_prefix/error_prefix"): 33,
    }
    # A user says goodbye, or the conversation ends with the tool that hands over to a person.
    assert Counter(row.steps[-1].observation.messages[-1].role for row in rows) == {"user": 62, "tool": 18}
    assert len({row.group_id for row in rows}) == 50
    for row, record in zip(rows, records, strict=True):
        assert rebuilt(row) == record["traj"]
        assert json.loads(row.extra or "") == {"info": record["info"]}


def test_integers_past_64_bits_are_kept_to_the_last_digit() -> None:
    row = read({"messages": [{"role": "assistant", "content": "x"}], "x": 2**70})
    assert row.extra == '{"x": 1180591620717411303424}'
