from __future__ import annotations

from typing import Any

import pytest

from purify.errors import RejectedRecordError
from purify.importing.record_fields import optional_reward, record_fields, tool_definitions
from purify_schemas import Reward, Source

NOTHING: dict[str, Any] = {
    "task_id": None,
    "sample_index": None,
    "tools": None,
    "answer": None,
    "reference": None,
    "reward": None,
    "rewards": [],
    "finish_reason": "unknown",
    "source": Source(format="openai"),
    "extra": None,
}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, {}),
        ({"id": "a", "task_id": 0, "index": 5}, {"task_id": "0", "extra": '{"id":"a","index":5}'}),
        ({"id": True, "index": 5}, {"task_id": "5", "extra": '{"id":true}'}),
        ({"trial": 3}, {"sample_index": 3}),
        (
            {"trial": -1, "sample_id": "x", "rollout_index": 2},
            {"sample_index": 2, "extra": '{"trial":-1,"sample_id":"x"}'},
        ),
        ({"trial": 2**31}, {"extra": '{"trial":2147483648}'}),
        # Rewards.
        ({"reward": 0.5}, {"reward": 0.5}),
        ({"reward": None, "score": 1}, {"reward": 1.0, "extra": '{"reward":null}'}),
        (
            {"reward": 1, "score": 0.5, "format_reward": 0},
            {"reward": 1.0, "rewards": [Reward(name="score", value=0.5), Reward(name="format_reward", value=0)]},
        ),
        ({"success": True}, {"reward": 1.0}),
        ({"correct": False, "success": True}, {"reward": 1.0, "rewards": [Reward(name="correct", value=0)]}),
        ({"reward": 0.25, "success": False}, {"reward": 0.25, "rewards": [Reward(name="success", value=0)]}),
        ({"rewards": {"a": 1, "b": 0.5}}, {"rewards": [Reward(name="a", value=1), Reward(name="b", value=0.5)]}),
        ({"rewards": {"a": 1, "b": "x"}}, {"extra": '{"rewards":{"a":1,"b":"x"}}'}),
        ({"rewards": [1], "reward": "high"}, {"extra": '{"rewards":[1],"reward":"high"}'}),
        ({"reward": float("inf"), "score": 1e300}, {"extra": '{"reward":null,"score":1e+300}'}),
        ({"success": "yes"}, {"extra": '{"success":"yes"}'}),
        # Answers.
        ({"final_answer": 2.5, "ground_truth": "3"}, {"answer": "2.5", "reference": "3"}),
        ({"answer": "2"}, {"extra": '{"answer":"2"}'}),
        ({"answer": "2", "reference": "3"}, {"answer": "2", "reference": "3"}),
        ({"answer": "2", "prediction": "3"}, {"answer": "3", "reference": "2"}),
        (
            {"answer": "1", "prediction": "2", "reference": "3"},
            {"answer": "2", "reference": "3", "extra": '{"answer":"1"}'},
        ),
        ({"ground_truth": {"answer": "2"}}, {"extra": '{"ground_truth":{"answer":"2"}}'}),
        # How it ended.
        ({"finish_reason": "max_steps"}, {"finish_reason": "max_turns"}),
        (
            {"finish_reason": "tool_calls", "stop_reason": "error"},
            {"finish_reason": "error", "extra": '{"finish_reason":"tool_calls"}'},
        ),
        # How it was sampled.
        (
            {"model_name": "m", "model": "", "revision": "r", "round": 1, "framework": "f", "seed": 7},
            {
                "source": Source(
                    format="openai", framework="f", model="m", revision="r", round=1, sampling='{"seed":7}'
                ),
                "extra": '{"model":""}',
            },
        ),
        (
            {"sampling_params": {"temperature": 0.6, "n": 4}, "top_p": 0.9, "top_k": None},
            {
                "source": Source(format="openai", temperature=0.6, sampling='{"temperature":0.6,"n":4,"top_p":0.9}'),
                "extra": '{"top_k":null}',
            },
        ),
        ({"messages": [], "temperature": "hot"}, {"extra": '{"temperature":"hot"}'}),
    ],
)
def test_fields(record: dict[str, Any], expected: dict[str, Any]) -> None:
    assert record_fields(record, used={"messages"}, format_name="openai") == NOTHING | expected


def test_the_last_message_tells_how_it_ended_where_the_record_does_not() -> None:
    assert record_fields({}, used=(), format_name="openai", last_finish="length")["finish_reason"] == "length"
    read = record_fields({"finish_reason": "stop"}, used=(), format_name="openai", last_finish="length")
    assert read["finish_reason"] == "stop"


def test_unread_fields_stay_where_they_were() -> None:
    record = {"a": 1, "reward": 1.0, "trial": 3, "id": "t", "b": 2}
    read = record_fields(record, used={"a"}, format_name="openai", unread={"reward", "trial"})
    assert read == NOTHING | {"task_id": "t", "extra": '{"reward":1.0,"trial":3,"b":2}'}


@pytest.mark.parametrize(("value", "expected"), [(None, None), (1, 1.0), (-0.5, -0.5)])
def test_an_optional_reward(value: object, expected: float | None) -> None:
    assert optional_reward(value, "scores[0]") == expected


@pytest.mark.parametrize(
    ("value", "kind"), [("1", "a string"), (True, "a boolean"), (1e300, "a number"), (float("nan"), "a number")]
)
def test_what_is_no_reward_is_refused(value: object, kind: str) -> None:
    with pytest.raises(RejectedRecordError, match=rf"^scores\[0\] is {kind}, expected a finite float32 or null$"):
        optional_reward(value, "scores[0]")


WRAPPED = '[{"type":"function","function":{"name":"f","parameters":{}}}]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([], None),
        ("[]", None),
        ("", None),
        ("You may call f.", None),
        ('{"name": "f"}', None),
        ([{"type": "function", "function": {"name": "f", "parameters": {}}}], WRAPPED),
        ([{"name": "f", "parameters": {}}], WRAPPED),
        ([{"type": "function", "name": "f", "parameters": {}}], WRAPPED),
        ('[{"name": "f", "parameters": {}}]', WRAPPED),
        # Text that is OpenAI's already is kept as it is, spaces too.
        ('[{"type": "function", "function": {"name": "f"}}]', '[{"type": "function", "function": {"name": "f"}}]'),
        ([{"type": "web_search"}], '[{"type":"web_search"}]'),
    ],
)
def test_tool_definitions(value: object, expected: str | None) -> None:
    assert tool_definitions(value) == expected
