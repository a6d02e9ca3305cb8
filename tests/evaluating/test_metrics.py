"""The figures, on trajectories small enough to count by hand."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.evaluating import measure
from purify.evaluating.metrics import pass_at
from purify.evaluating.outcomes import outcomes
from purify_schemas import Step, Trajectory
from tests.support import call, step, trajectory, write_dataset

BAD, GOOD = call("print(x)", "error"), call("print(y)")
ANSWER = step(think="42")


def row(task: str, sample: int, reward: float | None, *steps: Step) -> Trajectory:
    return trajectory(*steps, id=f"{task}.{sample}", group=task, reward=reward)


ROWS = [
    row("a", 0, 1, step(GOOD), ANSWER),
    row("a", 1, 1, step(BAD), step(GOOD), ANSWER),
    row("a", 2, -1, step(BAD), step(BAD), step(GOOD), ANSWER),
    row("b", 0, 1, ANSWER),
    row("b", 1, -1, step(GOOD), step(BAD)),
    row("b", 2, 0, step(GOOD), ANSWER),
]
"""Nine calls, four of them failed; two of five trajectories with a call fail their first."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "raw", ROWS, shards=2)


def test_every_figure_by_hand(dataset: Dataset) -> None:
    found = measure(dataset, k=(1, 2, 3))
    assert (found.tasks, found.trajectories, found.rewarded) == (2, 6, 6)
    assert (found.calls, found.failed_calls, found.removed_calls) == (9, 4, 0)
    counted = {
        name: (estimate.value, estimate.of)
        for name in (
            "tool_error_rate",
            "tool_error_rate_as_sampled",
            "first_call_failures",
            "correct_without_failed_call",
            "recovery_rate",
            "reward",
            "turns",
        )
        for estimate in [getattr(found, name)]
    }
    assert counted == {
        "tool_error_rate": (4 / 9, 9),
        "tool_error_rate_as_sampled": (4 / 9, 9),
        "first_call_failures": (2 / 5, 5),
        "correct_without_failed_call": (2 / 6, 6),
        "recovery_rate": (1 / 3, 3),
        "reward": (1 / 6, 6),
        "turns": (14 / 6, 6),
    }
    # Two of three are correct in a, so every pair holds a correct one; one of three in b, so two of three pairs do.
    assert found.pass_at[1].value == pytest.approx((2 / 3 + 1 / 3) / 2, abs=1e-15)
    assert found.pass_at[2].value == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)
    assert (found.pass_at[3].value, found.pass_at[3].low, found.pass_at[3].high) == (1, 1, 1)
    assert (found.tokens.value, found.tokens.note) == (None, "no token ids are stored")


def test_what_is_read_of_a_trajectory(tmp_path: Path) -> None:
    rows = [
        row(
            "a", 0, 0.5, step(GOOD, BAD, reasoning_ids=[1, 2], action_ids=[3]), step(reasoning_ids=[4], action_ids=None)
        ),
        row("b", 0, None),
    ]
    assert outcomes(write_dataset(tmp_path / "raw", rows)).rows() == [
        ("a", 0.5, 2, 4, 2, 1, False, 0, 0),
        ("b", None, 0, None, 0, 0, None, 0, 0),
    ]


def test_calls_that_were_taken_out_count_as_sampled_alone(tmp_path: Path, dataset: Dataset) -> None:
    found = measure(clean(dataset.path, tmp_path / "purified"))
    # The failures of a.1 and a.2 are corrected and taken out; b.1 ends with its own.
    assert (found.calls, found.failed_calls, found.removed_calls) == (6, 1, 3)
    assert (found.tool_error_rate.value, found.tool_error_rate_as_sampled.value) == (1 / 6, 4 / 9)
    assert found.first_call_failures.value == 0
    assert found.correct_without_failed_call.value == 3 / 6
    assert found.recovery_rate.value == 0


def test_trajectories_without_a_reward_are_no_failures(tmp_path: Path) -> None:
    rows = [row("a", 0, 1, step(BAD)), row("a", 1, None, step(BAD)), row("b", 0, -1, step(GOOD)), row("b", 1, 1)]
    found = measure(write_dataset(tmp_path / "raw", rows), k=(1, 2))
    assert (found.trajectories, found.rewarded) == (4, 3)
    assert found.pass_at[1].value == (1 + 1 / 2) / 2
    assert (found.recovery_rate.value, found.recovery_rate.of) == (1, 1)
    assert (found.correct_without_failed_call.value, found.correct_without_failed_call.of) == (1 / 3, 3)
    assert found.tool_error_rate.value == 2 / 3
    # Only b has two samples to draw from.
    assert (found.pass_at[2].value, found.pass_at[2].of) == (1, 1)
    assert found.pass_at[2].note == ("one task: no interval; 1 task(s) with fewer than 2 rewarded samples are left out")


def test_nothing_to_count_is_said_and_is_no_number(tmp_path: Path) -> None:
    found = measure(write_dataset(tmp_path / "raw", [row("a", 0, None), row("b", 0, None)]), k=(1, 4))
    told = {name: estimate.note for name, estimate in found if getattr(estimate, "value", 0) is None}
    assert told == {
        "tool_error_rate": "no calls",
        "tool_error_rate_as_sampled": "no calls",
        "first_call_failures": "no calls",
        "correct_without_failed_call": "no rewards",
        "recovery_rate": "no rewarded trajectory with a failed call",
        "reward": "no rewards",
        "tokens": "no token ids are stored",
    }
    assert (found.pass_at[1].value, found.pass_at[1].note) == (None, "no task has 1 rewarded sample")
    assert (found.pass_at[4].value, found.pass_at[4].note) == (None, "no task has 4 rewarded samples")
    assert "NaN" not in found.model_dump_json()


def test_a_dataset_without_rows(tmp_path: Path) -> None:
    found = measure(write_dataset(tmp_path / "raw", []))
    assert (found.tasks, found.trajectories, found.calls) == (0, 0, 0)
    assert (found.turns.value, found.turns.note) == (None, "no trajectories")


@pytest.mark.parametrize("correct", range(7))
@pytest.mark.parametrize("k", range(1, 7))
def test_pass_at_k_is_the_share_of_all_sets_of_k_with_a_correct_one(k: int, correct: int) -> None:
    sets = list(combinations([True] * correct + [False] * (6 - correct), k))
    assert pass_at(k, 6, correct) == pytest.approx(sum(map(any, sets)) / len(sets), abs=1e-15)
