"""Format `preference`: foreign pairs as TRL has them. Our own are tested with the exporter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing.base import RecordContext
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.preference import Preference
from purify.importing.registry import recognise
from purify_schemas import Message, Reward, Trajectory

USER = {"role": "user", "content": "Who?"}
SHOWN = {"role": "assistant", "content": "Which one?"}
MORE = {"role": "user", "content": "The first."}
GOOD = {"role": "assistant", "content": "Ada."}
CALL = {"id": "c", "type": "function", "function": {"name": "search", "arguments": '{"q": "who"}'}}
BAD: list[dict[str, Any]] = [
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "Error: no such page"},
    {"role": "assistant", "content": "Bob."},
]


def read(record: dict[str, Any]) -> list[Trajectory]:
    found = recognise(record)
    assert found is not None and found[0] == "preference"
    return Preference().read(record, RecordContext("pairs.jsonl", 3, load_rules("tool")))


def test_an_explicit_prompt_keeps_its_turns() -> None:
    rows = read({"prompt": [USER, SHOWN, MORE], "chosen": [GOOD], "rejected": BAD, "tools": [], "id": "q7"})
    prompt = [Message(role=m["role"], content=m["content"]) for m in (USER, SHOWN, MORE)]
    assert [row.messages for row in rows] == [prompt, prompt]
    assert [len(row.steps) for row in rows] == [1, 2]
    assert [turn.calls[0].status for turn in rows[1].steps if turn.calls] == ["error"]
    assert [row.rewards for row in rows] == [
        [Reward(name="preference", value=1.0)],
        [Reward(name="preference", value=0.0)],
    ]
    assert [row.reward for row in rows] == [None, None]
    assert {row.task_id for row in rows} == {"q7"} and len({row.group_id for row in rows}) == 1
    assert len({row.trajectory_id for row in rows}) == 2
    assert [(row.source.file, row.source.row, row.source.format) for row in rows] == [
        ("pairs.jsonl", 3, "preference"),
    ] * 2


def test_an_implicit_prompt_is_what_both_share() -> None:
    rows = read({"prompt": "Who?", "chosen": [USER, SHOWN, MORE, GOOD], "rejected": [USER, SHOWN, MORE, *BAD]})
    assert [len(row.messages) for row in rows] == [3, 3] and [len(row.steps) for row in rows] == [1, 2]
    assert rows[0].extra == rows[1].extra == '{"prompt":"Who?"}'


def test_two_that_part_at_a_result_part_at_the_turn_before() -> None:
    other: dict[str, Any] = {**BAD[1], "content": "Bob"}
    rows = read({"chosen": [USER, BAD[0], other, BAD[2]], "rejected": [USER, *BAD]})
    assert [len(row.messages) for row in rows] == [1, 1]
    assert [row.steps[0].calls[0].status for row in rows] == ["ok", "error"]


def test_one_that_goes_on_where_the_other_ends() -> None:
    rows = read({"chosen": [USER, *BAD], "rejected": [USER, *BAD[:2]]})
    assert [len(row.messages) for row in rows] == [1, 1] and [len(row.steps) for row in rows] == [2, 1]


def test_scores_are_rewards_of_their_own_side() -> None:
    rows = read({"prompt": [USER], "chosen": [GOOD], "rejected": BAD, "score_chosen": 8.5, "score_rejected": 2})
    assert [row.reward for row in rows] == [8.5, 2.0] and [row.extra for row in rows] == [None, None]
    kept = read(
        {"prompt": [USER], "chosen": [GOOD], "rejected": BAD, "reward": 1, "score_chosen": 8.5, "score_rejected": 2}
    )
    assert [row.reward for row in kept] == [8.5, 2.0] and [row.extra for row in kept] == ['{"reward":1}'] * 2


@pytest.mark.parametrize(
    "scores", [{"score_chosen": 1e300, "score_rejected": 5.0}, {"score_chosen": 5.0}, {"score_rejected": True}]
)
def test_scores_that_are_not_two_rewards_are_none(scores: dict[str, Any]) -> None:
    rows = read({"prompt": [USER], "chosen": [GOOD], "rejected": BAD, **scores})
    assert [row.reward for row in rows] == [None, None]
    assert [json.loads(row.extra or "") for row in rows] == [scores, scores]


def test_what_is_said_of_one_rollout_is_said_of_neither_side() -> None:
    told = {
        "id": "q7",
        "trial": 3,
        "score": 0.9,
        "format_reward": 1.0,
        "rewards": {"a": 1.0},
        "success": True,
        "final_answer": "Ada",
        "answer": "Ada",
        "finish_reason": "stop",
    }
    rows = read({**told, "reference": "Ada", "prompt": [USER], "chosen": [GOOD], "rejected": BAD})
    for row, preferred in zip(rows, (1.0, 0.0), strict=True):
        assert (row.reward, row.answer, row.finish_reason, row.sample_index) == (None, None, "unknown", None)
        assert row.rewards == [Reward(name="preference", value=preferred)]
        assert (row.task_id, row.reference) == ("q7", "Ada")
        assert row.extra is not None and json.loads(row.extra) == {k: v for k, v in told.items() if k != "id"}
    assert len({row.trajectory_id for row in rows}) == 2 and len({row.group_id for row in rows}) == 1


@pytest.mark.parametrize("prompt", [[USER], [USER, SHOWN, MORE]])
def test_a_prompt_that_both_sides_repeat_is_there_once(prompt: list[dict[str, Any]]) -> None:
    rows = read({"prompt": prompt, "chosen": [*prompt, GOOD], "rejected": [*prompt, *BAD]})
    assert [[message.content for message in row.messages] for row in rows] == [[m["content"] for m in prompt]] * 2
    assert [len(row.steps) for row in rows] == [1, 2]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"prompt": "Who?", "chosen": "Ada.", "rejected": "Bob."}, "chosen is text; only preferences between lists"),
        ({"prompt": [USER], "chosen": [GOOD], "rejected": [GOOD]}, "chosen and rejected are the same"),
        ({"prompt": [USER], "chosen": [MORE], "rejected": [GOOD]}, "chosen has no assistant turn"),
        ({"chosen": [GOOD], "rejected": [{"role": "assistant", "content": 7}]}, r"rejected\[0\].content is a number"),
        (
            {"chosen": [USER, GOOD], "rejected": [USER, *BAD], "purify": {"chosen": {"calls": 1}}},
            "purify: .*remove this member if the record was changed",
        ),
    ],
)
def test_what_cannot_be_read_says_why(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=reason):
        read(record)


def test_chat_formats_leave_preferences_alone() -> None:
    pair = {"messages": [USER, GOOD], "chosen": [USER, GOOD], "rejected": [USER, *BAD]}
    assert OpenAIMessages().recognise(pair) is None
    assert recognise({"messages": [USER, GOOD]}) == ("openai", "messages with roles, no calls")
    assert Preference().recognise({"chosen": {"from": "gpt", "value": "a"}, "rejected": {}}) is None
    assert Preference().recognise({"chosen": [], "rejected": []}) is None
