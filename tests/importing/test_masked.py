from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.importing.checks import token_ids
from purify.importing.masked import MaskedRun, attach_runs, masked_steps
from purify_schemas import Call, Message, Observation, Segment, Step


def test_runs_of_ones_are_turns_and_zeros_what_came_back() -> None:
    got = masked_steps([5, 6, 7, 8, 9, 10, 11], [0, 0, 1, 1, 0, 1, 0], [0.0, 0.0, -0.5, 0.0, 0.0, -1.0, 0.0])
    assert got == ([5, 6], [MaskedRun([7, 8], [-0.5, 0.0], [9]), MaskedRun([10], [-1.0], [11])])


def test_without_a_prompt_or_without_any_turn() -> None:
    assert masked_steps([7], [1]) == ([], [MaskedRun([7], None, [])])
    assert masked_steps([5, 6], [False, False]) == ([5, 6], [])
    assert masked_steps([], []) == ([], [])


def test_a_run_with_one_unknown_log_prob_has_none() -> None:
    _, runs = masked_steps([1, 2, 3, 4], [1, 1, 0, 1], [-0.5, None, None, 0.0])
    assert [run.logprobs for run in runs] == [None, [0.0]]


@pytest.mark.parametrize(
    ("mask", "logprobs", "reason"),
    [
        ([1], None, "1 mask values for 2 token ids"),
        ([1, 1], [0.0], "1 log-probs for 2 token ids"),
        ([1, 0.5], None, "mask value 1 is 0.5, expected 0 or 1"),
        ([-100, 1], None, "mask value 0 is -100, expected 0 or 1"),
    ],
)
def test_what_does_not_align_is_rejected(mask: list[float], logprobs: list[float] | None, reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=f"^{reason}$"):
        masked_steps([1, 2], mask, logprobs)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "x is a string, expected a list"),
        ({}, "x is an object, expected a list"),
        (False, "x is a boolean, expected a list"),
        ([1, -1], r"x\[1\] is a number, expected a token id"),
        ([True], r"x\[0\] is a boolean, expected a token id"),
    ],
)
def test_what_is_no_list_of_token_ids_is_refused(value: object, reason: str) -> None:
    assert (token_ids(None, "x"), token_ids([], "x"), token_ids([0, 1], "x")) == ([], [], [0, 1])
    with pytest.raises(RejectedRecordError, match=f"^{reason}$"):
        token_ids(value, "x")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans())))
def test_nothing_is_lost_and_every_sampled_token_is_the_model_s(tokens: list[tuple[int, bool]]) -> None:
    ids, mask = [token for token, _ in tokens], [model for _, model in tokens]
    prompt, runs = masked_steps(ids, mask, [float(token) for token in ids])
    assert prompt + [token for run in runs for token in (*run.sampled, *(run.environment or []))] == ids
    assert [token for run in runs for token in run.sampled] == [token for token, model in tokens if model]
    assert all(run.sampled and run.logprobs == list(map(float, run.sampled)) for run in runs)
    assert all(run.environment for run in runs[:-1])


def test_ids_are_put_into_steps() -> None:
    calling = Step(
        reasoning=Segment(text="so"),
        thinking_chars=2,
        action=Segment(text="<tool_call>"),
        calls=[Call(name="f")],
        observation=Observation(messages=[Message(role="tool", content="1")]),
    )
    _, runs = masked_steps([7, 8, 9], [1, 0, 1], [-0.5, 0.0, -1.0])
    assert attach_runs([calling, Step(reasoning=Segment(text="1"))], runs) == [
        calling.model_copy(
            update={
                "reasoning": Segment(text="so", token_ids=[7], logprobs=[-0.5]),
                "observation": Observation(token_ids=[8], messages=[Message(role="tool", content="1")]),
                "boundary": "unknown",
            }
        ),
        Step(reasoning=Segment(text="1", token_ids=[9], logprobs=[-1.0]), observation=Observation(token_ids=[])),
    ]
