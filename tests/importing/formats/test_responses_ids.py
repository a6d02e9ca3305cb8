from __future__ import annotations

import json
from typing import Any

import pytest

from purify_schemas import Segment
from tests.importing.formats.responses_records import act, back, ids, read, rollout, say, think


def test_proven_ids_make_one_sequence() -> None:
    got = read(
        rollout(
            think("t"), act("a", **ids([1, 2], [3, 4])), back("a"),
            say("s", **ids([1, 2, 3, 4, 9, 9], [5])), act("b"), back("b"),
            say("e", **ids([1, 2, 3, 4, 9, 9, 5], [6])),
        )
    )  # fmt: skip
    assert got.prompt_token_ids == [1, 2]
    assert [(s.reasoning.token_ids, s.observation.token_ids, s.boundary) for s in got.steps] == [
        ([3, 4], [9, 9], "unknown"),
        ([5], [], "unknown"),
        ([6], None, "exact"),
    ]
    assert got.steps[0].reasoning == Segment(text="t", token_ids=[3, 4], logprobs=[-0.375, -0.5])
    assert all(step.action == Segment() for step in got.steps)
    assert got.extra is None


def test_ids_end_a_turn_that_nothing_came_back_to() -> None:
    got = read(rollout(think("a", **ids([1], [2])), think("b"), say("c", **ids([1, 2, 3], [4]))))
    assert [(s.reasoning.text, s.reasoning.token_ids) for s in got.steps] == [("a", [2]), ("bc", [4])]


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (
            [act("a", **ids([1, 2], [3])), back("a"), say("e", **ids([1, 9], [4]))],
            "the prompt of turn 1 does not extend the prompt and generation of turn 0",
        ),
        ([act("a", **ids([1, 2], [3])), back("a"), say("e")], "turn 1 has no token ids"),
        ([say("e", **ids([], [3]))], "turn 0 has no token ids"),
    ],
)
def test_unproven_ids_are_dropped_with_the_reason(items: list[dict[str, Any]], reason: str) -> None:
    got = read(rollout(*items))
    assert got.prompt_token_ids is None
    assert not any(step.has_ids for step in got.steps)
    assert json.loads(got.extra or "") == {"token_ids_dropped": reason}


@pytest.mark.parametrize("logprobs", [[], [-1.0], [-1.0, "NaN"], [-1.0, None]])
def test_logprobs_that_do_not_match_are_unknown(logprobs: list[Any]) -> None:
    got = read(rollout(say("e", **ids([1], [2, 3], logprobs))))
    assert got.steps[0].reasoning == Segment(text="e", token_ids=[2, 3])
    dropped = {"logprobs_dropped": "response.output[0]: 1 finite log-probs for 2 ids"} if logprobs else None
    assert json.loads(got.extra or "null") == dropped


def test_empty_id_lists_are_absent() -> None:
    got = read(rollout(say("e", **ids([], []))))
    assert (got.prompt_token_ids, got.steps[0].has_ids, got.extra) == (None, False, None)
