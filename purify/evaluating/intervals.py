"""Confidence intervals over tasks.

Trajectories of one task are alike, so the unit that is drawn again is the task with all its trajectories. Every figure
is a ratio of two sums over tasks (failed calls / calls, correct trajectories / trajectories), hence one function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from purify.evaluating.report import Estimate

if TYPE_CHECKING:
    import numpy.typing as npt

RESAMPLES = 9999
_AT_ONCE = 2**22
"""Numbers drawn at once: bounds the memory where there are thousands of tasks."""


def ratio(
    numerators: Sequence[float] | npt.NDArray[Any],
    denominators: Sequence[float] | npt.NDArray[Any],
    *,
    nothing: str,
    seed: int = 0,
) -> Estimate:
    """sum(numerators) / sum(denominators) with a 95 % interval; both have one entry a task, denominators >= 0.

    The interval is the bias-corrected and accelerated bootstrap (BCa, Efron 1987) over the tasks that count, those
    with a denominator above 0: the others add nothing to either sum. `nothing` says what is missing where none counts.
    """
    upper, lower = (np.asarray(values, dtype=np.float64) for values in (numerators, denominators))
    upper, lower = upper[lower > 0], lower[lower > 0]
    total = lower.sum()
    if not len(lower):
        return Estimate(value=None, of=0, note=nothing)
    value, of = float(upper.sum() / total), round(total)
    if len(lower) == 1:
        return Estimate(value=value, of=of, note="one task: no interval")
    each = upper / lower
    if np.allclose(each, each[0], rtol=1e-12, atol=0):
        # No resample differs: the width is 0, and BCa is not defined.
        return Estimate(
            value=value, low=value, high=value, of=of, note="the same in every task: an interval of width 0"
        )
    low, high = _bootstrap(upper, lower, seed)
    return Estimate(value=value, low=low, high=high, of=of)


def _bootstrap(upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap

    def of_sums(upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64], axis: int) -> npt.NDArray[np.float64]:
        return np.asarray(upper.sum(axis=axis) / lower.sum(axis=axis))

    interval = bootstrap(
        (upper, lower),
        of_sums,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(_AT_ONCE // len(upper), 1),
        confidence_level=0.95,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
