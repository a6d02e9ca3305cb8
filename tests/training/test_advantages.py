"""Advantages of hand-made groups."""

from __future__ import annotations

from math import exp, log, sqrt
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.training.advantages import advantages

FRAME = pl.DataFrame(
    {
        "row": range(8),
        "group_id": ["a", "b", "a", "c", "a", "b", "d", "a"],
        "reward": [1.0, 0.5, 0.0, 1.0, 0.5, 0.5, None, None],
    }
)


def of(kind: str, beta: float | None = None) -> list[float | None]:
    found = advantages(FRAME, kind, beta)
    assert found["row"].to_list() == list(range(8))
    return found["advantage"].to_list()


def test_groups_of_one_and_equal_groups_are_flagged() -> None:
    found = advantages(FRAME, "mean")
    assert found["single"].to_list() == [False, False, False, True, False, False, False, False]
    assert found["zero_variance"].to_list() == [False, True, False, False, False, True, False, False]
    assert found.columns == ["row", "group_id", "reward", "advantage", "single", "zero_variance"]


def test_mean() -> None:
    assert of("mean") == [0.5, 0.0, -0.5, 0.0, 0.0, 0.0, None, None]


def test_mean_std_is_the_samples() -> None:
    # Group a: 1, 0, 0.5; the squares of the distances sum to 0.5, over 2: std 0.5.
    assert of("mean_std")[0] == pytest.approx(0.5 / (sqrt(0.25) + 1e-6))


def test_leave_one_out() -> None:
    assert of("leave_one_out")[:5:2] == [1 - 0.25, 0 - 0.75, 0.0]


def test_optimal() -> None:
    value = 2.0 * log((exp(0.5) + exp(0.0) + exp(0.25)) / 3)
    assert of("optimal", 2.0)[:5:2] == pytest.approx([1 - value, -value, 0.5 - value])
    large = pl.DataFrame({"group_id": ["a", "a"], "reward": [1000.0, 0.0]})
    assert advantages(large, "optimal", 0.1)["advantage"].to_list() == pytest.approx(
        [0.1 * log(2), -1000 + 0.1 * log(2)]
    )


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.floats(0.01, 0.99)), min_size=1, max_size=12),
    kind=st.sampled_from(["mean_std", "mean", "leave_one_out", "optimal"]),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_rows_changes_no_bit(rows: list[tuple[str, float | None]], kind: str, order: Random) -> None:
    frame = pl.DataFrame(
        [(row, *values) for row, values in enumerate(rows)],
        schema={"row": pl.Int64, "group_id": pl.String, "reward": pl.Float64},
        orient="row",
    )
    shuffled = frame[order.sample(range(len(frame)), len(frame))]
    assert advantages(shuffled, kind)["row"].to_list() == shuffled["row"].to_list()
    assert advantages(shuffled, kind).sort("row").equals(advantages(frame, kind))
