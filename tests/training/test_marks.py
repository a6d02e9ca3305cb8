"""Marks, masks and advantages of single tokens, on hand-made rows."""

from __future__ import annotations

import numpy as np

from purify.lm.sequences import sequences
from purify.saar import SaarConfig, purify_trajectory
from purify.training.examples import examples_of
from purify.training.marks import FAILED, FROM_FAILURE, GRAFTED, loss_mask, marks, token_advantages
from purify_schemas import PURIFIED_SCHEMA, Trajectory, scored_schema, to_table
from purify_schemas.scores import Scores
from tests.support import call, step, trajectory


def one_failure(second: str = "print(6 * 7)") -> Trajectory:
    """A good step, a failed one, its correction, an answer. Ids tell where they stand."""
    return trajectory(
        step(call("import math"), reasoning_ids=[10], action_ids=[11], observation_ids=[12]),
        step(call("print(6 * 8", status="error"), reasoning_ids=[20, 21], action_ids=[22], observation_ids=[23]),
        step(call(second), reasoning_ids=[30], action_ids=[31, 32], observation_ids=[33]),
        step(reasoning_ids=[40], action_ids=[], observation_ids=[]),
        prompt_ids=[1, 2],
    )


def test_marks_of_a_raw_row() -> None:
    table = to_table([one_failure(), trajectory(step(reasoning_ids=[5], action_ids=[]), prompt_ids=[1])])
    found = marks(table, sequences(table)).tolist()
    # Tokens:  10 11 | 20 21 22 | 30 31 32 | 40 || 5
    failing = FAILED | FROM_FAILURE
    assert found == [0, 0, failing, failing, failing, *[FROM_FAILURE] * 4, 0]


def test_marks_of_a_shallow_and_a_deep_edit() -> None:
    shallow, _ = purify_trajectory(one_failure(), SaarConfig(gamma=0.5))
    deep, _ = purify_trajectory(one_failure("x = 1\nassert x"), SaarConfig(gamma=0.9))
    table = to_table([shallow, deep], PURIFIED_SCHEMA)
    flat = sequences(table)
    assert flat.ids[flat.row(0)].tolist() == [1, 2, 10, 11, 12, 20, 21, 31, 32, 33, 40]
    assert flat.ids[flat.row(1)].tolist() == [1, 2, 10, 11, 12, 30, 31, 32, 33, 40]
    grafted = marks(table, flat) & GRAFTED
    assert (grafted > 0).tolist() == [
        *[False, False, False, False, True, True, False],
        *[False, False, True, True, True, False],
    ]


def test_two_edits_of_one_row() -> None:
    bad, good = call("print(1", status="error"), call("print(1)")
    ids = iter(range(10, 100, 10))
    steps = [
        step(made, reasoning_ids=[n], action_ids=[n + 1], observation_ids=[n + 2])
        for made, n in zip([bad, bad, good, bad, good], ids, strict=False)
    ]
    purified, _ = purify_trajectory(trajectory(*steps, prompt_ids=[1]))
    table = to_table([purified], PURIFIED_SCHEMA)
    flat = sequences(table)
    assert flat.ids.tolist() == [1, 10, 31, 32, 40, 51, 52]
    assert (marks(table, flat) & GRAFTED > 0).tolist() == [False, True, False, True]


def test_what_is_trained_on() -> None:
    found = np.array([0, FAILED | FROM_FAILURE, FROM_FAILURE | GRAFTED], dtype=np.uint8)
    assert loss_mask(found, winner=True, mask_failed="none").tolist() == [True, True, True]
    assert loss_mask(found, winner=True, mask_failed="winners").tolist() == [True, False, True]
    assert loss_mask(found, winner=False, mask_failed="winners").tolist() == [True, True, True]
    assert loss_mask(found, winner=False, mask_failed="all").tolist() == [True, False, True]


def test_advantages_of_tokens() -> None:
    found = np.array([0, FAILED | FROM_FAILURE, FROM_FAILURE | GRAFTED], dtype=np.uint8)

    def given(advantage: float, **options: bool) -> list[float]:
        chosen = {"spare_grafts": False, "penalty_after_failure": False} | options
        values: list[float] = token_advantages(found, advantage, **chosen).tolist()
        return values

    assert given(-1) == [-1, -1, -1]
    assert given(-1, spare_grafts=True) == [-1, -1, 0]
    assert given(-1, penalty_after_failure=True) == [0, -1, -1]
    assert given(-1, spare_grafts=True, penalty_after_failure=True) == [0, -1, 0]
    assert given(2, spare_grafts=True, penalty_after_failure=True) == [2, 2, 2]
    clean = np.zeros(2, dtype=np.uint8)
    assert token_advantages(clean, -1, spare_grafts=True, penalty_after_failure=True).tolist() == [-1, -1]


def test_examples_know_what_is_scored_and_what_is_stale() -> None:
    shallow, _ = purify_trajectory(one_failure())
    scored = shallow.model_copy(update={"scores": Scores(temperature=0.7, logprobs=[-1, -2, -3, -4, -5, -6, -7])})
    table = to_table([scored, shallow], scored_schema(PURIFIED_SCHEMA))
    batch = examples_of(table, [5, 6])
    first, second = batch.to_pylist()
    assert first["row"] == 5
    assert first["ids"] == [1, 2, 10, 11, 12, 20, 21, 31, 32, 33, 40]
    assert first["at"] == [2, 3, 5, 6, 7, 8, 10]
    assert first["old"] == [-1, -2, -3, -4, -5, -6, -7]
    np.testing.assert_allclose(first["temperature"], 0.7, atol=1e-6)
    # Sampled log-probs (minus a hundredth of the id) hold up to the graft, which begins with the action of step 1.
    np.testing.assert_allclose(first["mu"], [-0.1, -0.11, -0.2, -0.21, *[np.nan] * 3], atol=1e-6)
    assert np.isnan(second["old"]).all()
    assert second["temperature"] == 1
