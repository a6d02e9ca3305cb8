"""The figures of a set of rollouts, with intervals over tasks.

python -c "import purify.evaluating as e, purify; print(e.measure(purify.open('rollouts/'), k=(1, 8)).tool_error_rate)"
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import comb

import polars as pl

from purify.datasets import Dataset
from purify.evaluating.intervals import ratio
from purify.evaluating.outcomes import outcomes
from purify.evaluating.report import Estimate, Metrics

_REWARDED = pl.col("reward").is_not_null()
_CORRECT = (pl.col("reward") > 0).fill_null(False)
_BROKEN = pl.col("failed") > 0

_RATIOS: dict[str, tuple[pl.Expr, pl.Expr, str]] = {
    "tool_error_rate": (pl.col("failed"), pl.col("calls"), "no calls"),
    "tool_error_rate_as_sampled": (
        pl.col("failed") + pl.col("removed_failed"),
        pl.col("calls") + pl.col("removed"),
        "no calls",
    ),
    "first_call_failures": (pl.col("first_failed").fill_null(False), pl.col("calls") > 0, "no calls"),
    "correct_without_failed_call": (_CORRECT & ~_BROKEN, _REWARDED, "no rewards"),
    "recovery_rate": (_CORRECT & _BROKEN, _REWARDED & _BROKEN, "no rewarded trajectory with a failed call"),
    "reward": (pl.col("reward").fill_null(0), _REWARDED, "no rewards"),
    "turns": (pl.col("turns"), pl.col("turns").is_not_null(), "no trajectories"),
    "tokens": (pl.col("tokens").fill_null(0), pl.col("tokens").is_not_null(), "no token ids are stored"),
}
"""Each figure: its numerator and denominator of a trajectory, and what is missing where no denominator is above 0."""


def measure(rollouts: Dataset | pl.DataFrame, *, k: Sequence[int] = (1,), seed: int = 0) -> Metrics:
    """Every figure of a dataset, or of the frame that `outcomes` reads from one. `seed` draws the resamples."""
    rows = outcomes(rollouts) if isinstance(rollouts, Dataset) else rollouts
    sums = [
        expression.sum().cast(pl.Float64).alias(f"{name}.{part}")
        for name, (upper, lower, _) in _RATIOS.items()
        for part, expression in (("upper", upper.cast(pl.Float64)), ("lower", lower.cast(pl.Float64)))
    ]
    tasks = rows.group_by("task_id", maintain_order=True).agg(*sums, rewarded=_REWARDED.sum(), correct=_CORRECT.sum())
    figures = {
        name: ratio(tasks[f"{name}.upper"].to_numpy(), tasks[f"{name}.lower"].to_numpy(), nothing=nothing, seed=seed)
        for name, (_, _, nothing) in _RATIOS.items()
    }
    return Metrics(
        tasks=len(tasks),
        trajectories=len(rows),
        rewarded=rows["reward"].count(),
        calls=rows["calls"].sum(),
        failed_calls=rows["failed"].sum(),
        removed_calls=rows["removed"].sum(),
        pass_at={each: _pass_at(each, tasks, seed) for each in sorted(set(k))},
        **figures,
    )


def pass_at(k: int, samples: int, correct: int) -> float:
    """The unbiased estimate of P(at least one of k tries is correct) from `samples` tries (Chen et al. 2021, eq. 1).

    1 - C(n - c, k) / C(n, k): the share of all sets of k of the n samples that hold a correct one. Needs k <= n.
    """
    return 1 - comb(samples - correct, k) / comb(samples, k)


def _pass_at(k: int, tasks: pl.DataFrame, seed: int) -> Estimate:
    """The mean over the tasks that have k rewarded samples."""
    enough = tasks.filter(pl.col("rewarded") >= k)
    values = list(map(partial(pass_at, k), enough["rewarded"], enough["correct"]))
    found = ratio(values, [1] * len(values), nothing=f"no task has {k} rewarded sample{'s' * (k > 1)}", seed=seed)
    if not values or len(values) == len(tasks):
        return found
    left_out = f"{len(tasks) - len(values)} task(s) with fewer than {k} rewarded samples are left out"
    return found.model_copy(update={"note": "; ".join(filter(None, (found.note, left_out)))})
