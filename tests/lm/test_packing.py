"""Packs hold whole sequences; a table's flat sequences are what its rows say."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings

from purify.lm.sequences import ACTION, OBSERVATION, PROMPT, REASONING, sampled_logprobs, sequences
from purify_schemas import to_table
from tests.support import call, step, trajectory


def test_first_fit_of_the_longest_first() -> None:
    from purify.lm.packing import fill

    assert fill([3, 9, 5, 2, 20, 5], 10) == [[4], [1], [2, 5], [0, 3]]


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=40), st.integers(1, 40))
def test_every_sequence_is_in_one_pack_and_fits(lengths: list[int], capacity: int) -> None:
    from purify.lm.packing import fill

    packs = fill(lengths, capacity)
    assert sorted(index for members in packs for index in members) == list(range(len(lengths)))
    assert all(len(members) == 1 or sum(lengths[index] for index in members) <= capacity for members in packs)


def test_positions_start_again_in_each_sequence() -> None:
    from purify.lm.packing import pack

    made = pack([np.array([7, 8, 9]), np.array([5]), np.array([1, 2])])
    assert made.input_ids.tolist() == [7, 8, 9, 5, 1, 2]
    assert made.position_ids.tolist() == [0, 1, 2, 0, 0, 1]
    assert made.starts.tolist() == [0, 3, 4, 6]
    assert made.lengths == (3, 1, 2)


def test_sequences_of_a_table() -> None:
    first = trajectory(
        step(call("x"), reasoning_ids=[10, 11], action_ids=[12], observation_ids=[13, 14]),
        step(reasoning_ids=[15], action_ids=[], observation_ids=[]),
        prompt_ids=[1, 2],
    )
    textual = trajectory(step(call("x")), id="t1", prompt_ids=[3])
    bare = trajectory(id="t2", prompt_ids=[4, 5, 6])
    found = sequences(to_table([first, textual, bare, first]))
    assert found.ids[found.row(0)].tolist() == [1, 2, 10, 11, 12, 13, 14, 15]
    kinds = [PROMPT, PROMPT, REASONING, REASONING, ACTION, OBSERVATION, OBSERVATION, REASONING]
    assert found.part[found.row(0)].tolist() == kinds
    assert found.step[found.row(0)].tolist() == [-1, -1, 0, 0, 0, 0, 0, 1]
    assert found.own[found.row(0)].tolist() == [False, False, True, True, True, False, False, True]
    assert found.ids[found.row(1)].tolist() == [3]
    assert found.ids[found.row(2)].tolist() == [4, 5, 6]
    assert found.ids[found.row(3)].tolist() == found.ids[found.row(0)].tolist()
    assert found.missing.tolist() == [False, True, False, False]
    assert len(sequences(to_table([])).ids) == 0


def test_a_hole_in_the_ids_makes_a_row_incomplete() -> None:
    turn = step(call("x"), reasoning_ids=[10], action_ids=[11], observation_ids=[12])
    unseen = turn.model_copy(update={"observation": turn.observation.model_copy(update={"token_ids": None})})
    joined = turn.model_copy(update={"action": turn.action.model_copy(update={"token_ids": None, "logprobs": None})})
    rows = [
        trajectory(turn, turn, prompt_ids=[1]),
        trajectory(unseen, turn, prompt_ids=[1]),
        trajectory(turn, unseen, prompt_ids=[1]),  # nothing was written after it
        trajectory(joined, turn, prompt_ids=[1]),  # all ids are on one side
        trajectory(turn),
    ]
    assert sequences(to_table(rows)).missing.tolist() == [False, True, False, False, True]


def test_sampled_logprobs_are_in_the_order_of_the_tokens() -> None:
    known = step(call("x"), reasoning_ids=[10, 11], action_ids=[12], observation_ids=[13])
    unknown = known.model_copy(update={"action": known.action.model_copy(update={"logprobs": None})})
    table = to_table([trajectory(known, unknown, prompt_ids=[1]), trajectory(step()), trajectory(known)])
    expected = np.array([-0.1, -0.11, -0.12, -0.1, -0.11, np.nan, -0.1, -0.11, -0.12], dtype=np.float32)
    np.testing.assert_array_equal(sampled_logprobs(table), expected)
