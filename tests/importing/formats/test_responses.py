from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from purify.errors import RejectedRecordError
from purify.importing.formats.responses import Responses
from purify_schemas import Call, Message, Observation, Segment, Step, ToolState
from tests.importing.damage import damaged, outcome, put
from tests.importing.formats.responses_records import (
    CONTEXT,
    NO_RESULT,
    OK,
    act,
    back,
    called,
    ids,
    read,
    result,
    rollout,
    say,
    think,
)


def test_items_up_to_what_comes_back_are_one_step() -> None:
    got = read(rollout(think("I ", "add."), say("So."), act("a"), back("a"), act("b"), back("b"), say("2")))
    assert got.messages == [Message(role="user", content="1 + 1?")]
    assert got.steps == [
        Step(
            reasoning=Segment(text="I \nadd.So."),
            thinking_chars=7,
            calls=[called("a")],
            observation=Observation(messages=[result("a")]),
        ),
        Step(calls=[called("b")], observation=Observation(messages=[result("b")])),
        Step(reasoning=Segment(text="2")),
    ]
    assert (got.finish_reason, got.prompt_token_ids) == ("stop", None)


def test_calls_in_a_row_are_parallel_and_results_find_their_call_by_id() -> None:
    failed = '{"error": "no such file"}'
    got = read(rollout(act("a"), act("b"), act("c"), back("b", failed), back("a")))
    (step,) = got.steps
    assert [call.id for call in step.calls] == ["a", "b", "c"]
    assert [call.status for call in step.calls] == ["ok", "error", "unknown"]
    assert step.calls[2] == called("c", **NO_RESULT)
    assert step.observation.messages == [result("b", failed), result("a")]
    assert got.finish_reason == "unknown"


def test_a_closing_tag_in_a_message_ends_the_thinking_part() -> None:
    got = read(rollout(say("I add.\n</think>\n\n2")))
    assert got.steps == [Step(reasoning=Segment(text="I add.\n</think>\n\n2"), thinking_chars=15)]


def test_thinking_after_text_is_not_marked() -> None:
    got = read(rollout(think("a"), say("b"), think("c"), say("")))
    assert got.steps == [Step(reasoning=Segment(text="abc"), thinking_chars=1)]


def test_arguments_that_are_no_json_object_are_malformed_whatever_came_back() -> None:
    (step,) = read(rollout(act("a", "{code: 1"), back("a", None))).steps
    assert step.calls == [
        called("a", "{code: 1", status="malformed", error_type="invalid_json", status_source="arguments")
    ]


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_a_failed_item_is_an_error(status: str) -> None:
    (step,) = read(rollout(act("a"), back("a", "2", status=status))).steps
    assert step.calls == [called("a", status="error", error_type=status, status_source="item.status")]
    assert step.observation.messages[0].extra == json.dumps({"status": status}, separators=(",", ":"))


def test_hosted_and_custom_calls() -> None:
    hosted = {"type": "mcp_call", "id": "m", "name": "look", "arguments": "{}", "output": None, "error": "down"}
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "shell", "input": "ls"}
    search = {"type": "web_search_call", "id": "w", "action": {"query": "x"}, "status": "completed"}
    answer = {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a b"}]}
    got = read(rollout(hosted, custom, answer, search))
    assert [call for step in got.steps for call in step.calls] == [
        Call(name="look", arguments="{}", status="error", status_source="item.error"),
        Call(id="c", name="shell", arguments='{"input":"ls"}', **OK),
        Call(name="web_search_call", arguments='{"action":{"query":"x"}}', **NO_RESULT),
    ]
    assert got.steps[0].observation.messages == [Message(role="tool", name="look", content='"down"')]
    assert got.steps[1].observation.messages == [result("c", "a b")]


def test_the_request_becomes_prompt_tools_and_source() -> None:
    request = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "see"}, {"type": "input_image", "url": "u"}]},
            act("p"),
            back("p"),
            think("hm"),
            {"type": "message", "role": "user", "content": "go", "status": "completed"},
        ],
        "tools": [{"type": "function", "name": "terminal", "parameters": {}, "strict": True}, {"type": "web_search"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "model": "asked",
        "seed": 1,
        "store": None,
    }
    answer = {"output": [act("a", name="mystery"), back("a")], "model": "served", "temperature": 1.0, "id": "r"}
    got = read({"responses_create_params": request, "response": answer})
    function = {"name": "execute_python", "arguments": '{"code": "1"}'}
    assert got.messages == [
        Message(role="system", content="Be brief."),
        Message(role="user", content="see", parts=json.dumps(request["input"][0]["content"], separators=(",", ":"))),  # type: ignore[index]
        Message(
            role="assistant",
            tool_calls=json.dumps([{"id": "p", "type": "function", "function": function}], separators=(",", ":")),
        ),
        result("p"),
        Message(role="assistant", extra=json.dumps(think("hm"), separators=(",", ":"))),
        Message(role="user", content="go"),
    ]
    assert json.loads(got.tools or "") == [
        {"type": "function", "function": {"name": "terminal", "parameters": {}, "strict": True}},
        {"type": "web_search"},
    ]
    states = [ToolState(name="mystery", state="unknown"), ToolState(name="terminal", state="external")]
    assert got.tool_state == states
    assert (got.source.model, got.source.temperature, got.source.sampling) == ("served", 0.5, '{"top_p":0.9}')
    assert json.loads(got.extra or "") == {
        "responses_create_params": {"model": "asked", "seed": 1},
        "response": {"temperature": 1.0, "id": "r"},
    }


def test_an_empty_input_is_no_message_and_a_user_between_turns_is_an_observation() -> None:
    record = rollout(say("hi"), {"type": "message", "role": "user", "content": "more"}, say("ok"))
    record["responses_create_params"]["input"] = []
    got = read(record)
    assert got.messages == []
    assert got.steps[0].observation.messages == [Message(role="user", content="more")]
    assert [step.reasoning.text for step in got.steps] == ["hi", "ok"]


def test_outcome_fields() -> None:
    got = read(
        rollout(say("2"), reward=1, expected_answer=2, extracted_answer="2", _ng_task_index=7, _ng_rollout_index=3)
    )
    assert (got.reward, got.reference, got.answer, got.task_id, got.sample_index) == (1.0, "2", "2", "7", 3)
    assert got.extra == '{"_ng_task_index":7}'
    delegated = rollout(say("2"), delegated_response={"extracted_answer": "2"})
    delegated["response"]["expected_answer"] = "3"
    got = read(delegated)
    assert (got.answer, got.reference) == ("2", "3")
    assert got.extra == '{"delegated_response":{"extracted_answer":"2"}}'


@pytest.mark.parametrize(
    ("record", "metadata", "task"),
    [
        ({"_ng_task_index": 0, "id": 1}, {"instance_id": "astropy-1"}, "astropy-1"),
        ({"_ng_task_index": 0, "id": 1, "problem_id": "p", "subtask": "all"}, None, "p/all"),
        ({"_ng_task_index": 0, "id": "aime-0"}, {}, "aime-0"),
        ({"_ng_task_index": 4}, None, "4"),
        ({}, None, "rollouts.jsonl#2"),
    ],
)
def test_the_most_telling_task_name(record: dict[str, Any], metadata: Any, task: str) -> None:
    made = rollout(say("2"), **record)
    made["responses_create_params"]["metadata"] = metadata
    assert read(made).task_id == task


@pytest.mark.parametrize(
    ("response", "record", "finish"),
    [
        ({"incomplete_details": {"reason": "max_output_tokens"}}, {}, "length"),
        ({"status": "incomplete"}, {}, "unknown"),
        ({"error": {"message": "down"}}, {}, "error"),
        ({"status": "failed"}, {}, "error"),
        ({}, {"agent_timed_out": True}, "error"),
        ({}, {"finished_naturally": False}, "unknown"),
        ({"status": "completed"}, {"finished_naturally": True}, "stop"),
    ],
)
def test_finish_reason(response: dict[str, Any], record: dict[str, Any], finish: str) -> None:
    made = rollout(say("2"), **record)
    made["response"].update(response)
    assert read(made).finish_reason == finish


# Records that cannot be read.


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("response",), None, "response is null, expected an object"),
        (("response", "output"), {}, "response.output is an object, expected a list"),
        (("response", "output", 0), 3, "response.output[0] is a number, expected an object"),
        (("response", "output", 0, "type"), "dance", "response.output[0].type 'dance' is no message, reasoning, call"),
        (("response", "output", 0, "arguments"), {}, "response.output[0].arguments is an object, expected a string"),
        (("response", "output", 0, "call_id"), 3, "response.output[0].call_id is a number, expected a string or null"),
        (("response", "output", 0, "type"), "x_output", "response.output[0] is a x_output before any turn"),
        (("response", "output", 1, "output"), 3, "response.output[1].output is a number, expected a text"),
        (
            ("response", "output", 0, "generation_token_ids"),
            [True],
            "response.output[0].generation_token_ids[0] is a boolean, expected a token id",
        ),
        (("responses_create_params", "input"), 3, "responses_create_params.input is a number, expected a list"),
        (("reward",), "high", "reward is a string, expected a finite number or null"),
        (("_ng_rollout_index",), -1, "_ng_rollout_index is a number, expected a position or null"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = rollout(act("a"), back("a"), reward=0.0)
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value).startswith(reason)


def test_a_reward_past_a_float32_makes_no_row() -> None:
    with pytest.raises(ValidationError, match=r"1e\+300 does not fit a float32"):
        read(rollout(act("a"), back("a"), reward=1e300))


def test_records_of_other_formats_are_not_recognised() -> None:
    assert Responses().recognise(rollout()) == "has responses_create_params and response.output"
    others: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": "q"}], "response": {"output": []}},
        {"responses_create_params": {}, "response": {"output": "text"}},
        {"responses_create_params": {}},
        {"response": "text"},
        {},
    ]
    assert not any(Responses().recognise(record) for record in others)


BASE = rollout(
    think("t"), say("s"), act("a", **ids([1], [2])), back("a"), say("e", **ids([1, 2, 3], [4])),
    reward=0.5, expected_answer="2", _ng_task_index=1, _ng_rollout_index=0, id="x",
)  # fmt: skip
BASE["responses_create_params"].update(
    input=[{"role": "user", "content": [{"type": "input_text", "text": "q"}]}, act("p"), back("p")],
    tools=[{"type": "function", "name": "execute_python"}],
    temperature=1.0,
    metadata={"instance_id": "i"},
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(Responses(), damaged(BASE, data), CONTEXT)
