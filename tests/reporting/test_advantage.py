"""Which trajectories recovered, and their mean advantage, on groups small enough to compute by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.reporting import stats
from purify.reporting.advantage import advantages, recovered_rows
from purify.reporting.columns import ROLES, STORED_CALLS, numbered
from purify_schemas import Trajectory
from tests.support import call, step, trajectory, write_dataset

BAD, GOOD = step(call("a", "error")), step(call("b"))
MALFORMED = step(call("{", "malformed", name=None))
A = 0.5 / (0.5**0.5 + 1e-6)
"""Advantage of reward 1 in a group of rewards 1 and 0: the sample standard deviation is sqrt(1/2)."""


def recovered(dataset: Dataset) -> list[int]:
    table = next(dataset.tables([*STORED_CALLS, *ROLES]))
    return recovered_rows(numbered(table)).sort().to_list()


def test_recovered_is_a_failure_and_then_a_success_of_the_same_tool(tmp_path: Path) -> None:
    rows = [
        trajectory(BAD, GOOD),
        trajectory(GOOD, BAD, BAD, GOOD, BAD),
        trajectory(MALFORMED, GOOD),
        trajectory(step(call("a", "error")), step(call("b"), call("c", name="search"))),
        # not recovered:
        trajectory(GOOD, BAD),
        trajectory(BAD, step(call("b", name="search"))),
        trajectory(BAD, step(), GOOD),
        trajectory(step(call("a", "error"), human="Stop."), GOOD),
        trajectory(step(call("a", "error"), call("a", "infra")), GOOD),
        trajectory(BAD, step(call("b"), call("c", "unknown"))),
        trajectory(),
    ]
    assert recovered(write_dataset(tmp_path / "raw", rows)) == [0, 1, 2, 3]


def groups() -> list[Trajectory]:
    return [
        trajectory(BAD, GOOD, id="a", group="x", reward=1),
        trajectory(GOOD, id="b", group="x", reward=0),
        trajectory(BAD, id="c", group="y", reward=0),
        trajectory(GOOD, BAD, GOOD, id="d", group="y", reward=1),
        trajectory(BAD, GOOD, id="alone", group="z", reward=1),
        trajectory(BAD, GOOD, id="unrewarded", group="x"),
    ]


def test_mean_advantages_of_a_raw_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", groups(), shards=3)
    advantage = stats(tmp_path / "raw").advantage
    assert (advantage.trajectories, advantage.missing) == (4, None)
    found: dict[str, object] = {
        mean.of: (mean.trajectories, mean.mean, mean.standard_error) for mean in advantage.means
    }
    assert found == {
        "without a failed call": (1, pytest.approx(-A), None),
        # +A and -A: their standard deviation is A sqrt(2), the standard error that by sqrt(2)
        "whose first call failed": (2, pytest.approx(0), pytest.approx(A)),
        "recovered from a failed call": (2, pytest.approx(A), pytest.approx(0)),
    }


def test_mean_advantages_of_a_purified_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", groups())
    clean(tmp_path / "raw", tmp_path / "purified")
    advantage = stats(tmp_path / "purified").advantage
    found: dict[str, object] = {mean.of: (mean.trajectories, mean.mean) for mean in advantage.means}
    assert found == {
        "without a failed call": (1, pytest.approx(-A)),
        "edited": (2, pytest.approx(A)),
        "recovered from a failed call, edited or not": (2, pytest.approx(A)),
    }


@pytest.mark.parametrize(
    ("rewards", "missing"),
    [
        ([("x", None), ("x", None)], "no trajectory has a reward"),
        ([("x", 1.0), ("y", 0.0), ("x", None)], "no two trajectories with rewards share a group"),
        ([("x", 0.1), ("x", 0.1), ("x", 0.1)], "within every group all rewards are equal"),
    ],
)
def test_what_is_missing_is_said(rewards: list[tuple[str, float | None]], missing: str) -> None:
    rows = pl.DataFrame(rewards, schema={"group": pl.String, "reward": pl.Float32}, orient="row")
    found = advantages(rows.with_columns(recovered=True), {"recovered": "recovered"})
    assert found.missing is not None and found.missing.startswith(missing)
    assert found.means == []


def test_no_such_trajectories() -> None:
    rows = pl.DataFrame({"group": ["x", "x"], "reward": [0.0, 1.0], "recovered": [False, False]})
    (mean,) = advantages(rows, {"recovered": "recovered"}).means
    assert (mean.trajectories, mean.mean, mean.standard_error) == (0, None, None)
