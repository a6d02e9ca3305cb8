"""Intervals: against a bootstrap written out here, and where there is nothing to resample."""

from __future__ import annotations

import warnings
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.evaluating.intervals import RESAMPLES, ratio


def written_out(upper: list[int], lower: list[int], seed: int) -> tuple[float, float]:
    """BCa (Efron & Tibshirani 1993, eq. 14.9 to 14.15) of a ratio of sums, one task at a time."""
    normal, rng, n = NormalDist(), np.random.default_rng(seed), len(upper)
    value = sum(upper) / sum(lower)
    drawn = []
    for _ in range(RESAMPLES):
        picked = rng.integers(0, n, n)
        drawn.append(sum(upper[i] for i in picked) / sum(lower[i] for i in picked))
    below = sum(each < value for each in drawn) + sum(each == value for each in drawn) / 2
    bias = normal.inv_cdf(below / RESAMPLES)
    left_out = [(sum(upper) - upper[i]) / (sum(lower) - lower[i]) for i in range(n)]
    spread = [sum(left_out) / n - each for each in left_out]
    acceleration = sum(d**3 for d in spread) / (6 * sum(d**2 for d in spread) ** 1.5)
    ends = []
    for alpha in (0.025, 0.975):
        z = bias + normal.inv_cdf(alpha)
        ends.append(float(np.quantile(drawn, normal.cdf(bias + z / (1 - acceleration * z)))))
    return ends[0], ends[1]


def test_an_interval_is_the_bca_bootstrap_over_tasks() -> None:
    rng = np.random.default_rng(7)
    calls = rng.integers(1, 9, 30)
    failed = rng.binomial(calls, rng.beta(1, 3, 30))
    found = ratio(failed, calls, nothing="")
    low, high = written_out(failed.tolist(), calls.tolist(), seed=1)
    assert found.value == failed.sum() / calls.sum() and found.of == calls.sum()
    # Two draws of 9,999 resamples each.
    assert found.low == pytest.approx(low, abs=0.005) and found.high == pytest.approx(high, abs=0.005)


def test_trajectories_of_a_task_are_not_independent() -> None:
    """Eight equal samples of a task say no more than one."""
    correct = [1, 0, 1, 1, 0, 1, 0, 1, 1, 1]
    one = ratio(correct, [1] * 10, nothing="")
    eight = ratio([8 * each for each in correct], [8] * 10, nothing="")
    assert (eight.value, eight.low, eight.high) == (one.value, one.low, one.high)
    assert (one.of, eight.of) == (10, 80)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(200):
        calls = rng.integers(1, 8, 40)
        found = ratio(rng.binomial(calls, rng.beta(2, 6, 40)), calls, nothing="")
        assert found.low is not None and found.high is not None
        held += found.low <= 0.25 <= found.high
    assert 180 <= held <= 198


def test_equal_input_gives_equal_intervals() -> None:
    assert ratio([1, 0, 2], [2, 1, 3], nothing="") == ratio([1, 0, 2], [2, 1, 3], nothing="")
    assert ratio([1, 0, 2], [2, 1, 3], nothing="") != ratio([1, 0, 2], [2, 1, 3], nothing="", seed=1)


@pytest.mark.parametrize(("upper", "value"), [([0, 0, 0], 0.0), ([2, 4, 6], 1.0), ([1, 2, 3], 0.5)])
def test_equal_tasks_have_an_interval_of_width_zero(upper: list[int], value: float) -> None:
    found = ratio(upper, [2, 4, 6], nothing="")
    assert (found.value, found.low, found.high) == (value, value, value)
    assert found.note == "the same in every task: an interval of width 0"


def test_rounding_is_no_spread() -> None:
    found = ratio([0.1 + 0.1 + 0.1, 0.1], [3, 1], nothing="")
    assert found.low == found.high == found.value


def test_one_task_has_no_interval() -> None:
    found = ratio([3, 0], [4, 0], nothing="")
    assert (found.value, found.low, found.high, found.of) == (0.75, None, None, 4)
    assert found.note == "one task: no interval"


@pytest.mark.parametrize("upper", [[], [0, 0]])
def test_nothing_to_count(upper: list[int]) -> None:
    found = ratio(upper, upper, nothing="no calls")
    assert (found.value, found.low, found.high, found.of, found.note) == (None, None, None, 0, "no calls")


def test_tasks_that_count_nothing_change_nothing() -> None:
    assert ratio([1, 0, 0, 2], [2, 0, 3, 4], nothing="") == ratio([1, 0, 2], [2, 3, 4], nothing="")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=12))
def test_an_interval_holds_its_value_and_stays_a_share(tasks: list[tuple[int, int]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ratio([upper for upper, _ in tasks], [lower for _, lower in tasks], nothing="")
    if found.low is not None and found.high is not None and found.value is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1
    else:
        assert sum(lower > 0 for _, lower in tasks) < 2
