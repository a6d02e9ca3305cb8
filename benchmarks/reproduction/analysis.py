"""From the results to what the tables say. All intervals are over seeds: 95 %, Student's t.

Two arms of one (design, algorithm, seed) share policy, tasks and first rollouts, so their difference is taken seed by
seed (`paired`) before it is averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import stats


class Mean(NamedTuple):
    """A mean over seeds with the half-width of its 95 % interval (None for fewer than two seeds)."""

    value: float
    half: float | None
    seeds: int


def mean_of(values: Sequence[float]) -> Mean | None:
    """None without values."""
    count = len(values)
    if not count:
        return None
    series = pl.Series(values, dtype=pl.Float64)
    deviation = series.std()
    half = None if not isinstance(deviation, float) else float(stats.t.ppf(0.975, count - 1)) * deviation / count**0.5
    return Mean(sum(values) / count, half, count)


def of_arm(results: pl.DataFrame, design: str, algorithm: str, arm: str) -> pl.DataFrame:
    """The rows of one arm, all seeds."""
    return results.filter(pl.col("design") == design, pl.col("algorithm") == algorithm, pl.col("arm") == arm)


def last(rows: pl.DataFrame, figure: str) -> dict[int, float]:
    """By seed, a figure of the last policy on the held-out tasks; seeds for which it is not defined are left out."""
    held_out = rows.filter(pl.col("tasks") == "held_out", pl.col("updates") > 0, pl.col(figure).is_not_null())
    return dict(held_out.sort("seed").select("seed", figure).iter_rows())


def first(rows: pl.DataFrame, figure: str) -> dict[int, float]:
    """By seed, the same of the policy that training begins with. One policy: seeds are those of sampling."""
    held_out = rows.filter(pl.col("tasks") == "held_out", pl.col("updates") == 0, pl.col(figure).is_not_null())
    return dict(held_out.unique("seed").sort("seed").select("seed", figure).iter_rows())


def paired(arm: dict[int, float], raw: dict[int, float]) -> list[float]:
    """Arm minus raw, for every seed that both have."""
    return [arm[seed] - raw[seed] for seed in sorted(arm.keys() & raw.keys())]


def curve(rows: pl.DataFrame, figure: str) -> tuple[list[int], list[Mean]]:
    """Updates, and the mean over seeds of a figure as each round samples it."""
    sampled = rows.filter(pl.col("tasks") == "train", pl.col(figure).is_not_null()).sort("updates", "seed")
    updates = sampled["updates"].unique(maintain_order=True).to_list()
    means = [mean_of(sampled.filter(pl.col("updates") == at)[figure].to_list()) for at in updates]
    return updates, [mean for mean in means if mean is not None]


def updates_to_reach(updates: Sequence[int], values: Sequence[float], target: float, *, falling: bool) -> float | None:
    """After how many updates a curve first is at `target` or beyond, between rounds on a straight line; None: never."""
    signed = [-value if falling else value for value in values]
    goal = -target if falling else target
    for index, (at, value) in enumerate(zip(updates, signed, strict=True)):
        if value >= goal:
            if index == 0:
                return float(at)
            before, earlier = signed[index - 1], updates[index - 1]
            return earlier + (at - earlier) * (goal - before) / (value - before)
    return None


def share_of_updates(arm: pl.DataFrame, raw: pl.DataFrame, figure: str, *, falling: bool) -> float | None:
    """Updates after which the arm's mean curve is where raw's ends, as a share of raw's updates until there."""
    updates, means = curve(raw, figure)
    target = means[-1].value
    reached = [
        updates_to_reach(at, [mean.value for mean in found], target, falling=falling)
        for at, found in (curve(arm, figure), (updates, means))
    ]
    return None if reached[0] is None or not reached[1] else reached[0] / reached[1]


class Theory(NamedTuple):
    """What `purify stats` says of raw rollouts, over all seeds."""

    advantage: float
    """E[A | recovered], over the recovered trajectories of all seeds."""
    standard_error: float
    recovered: int
    of: int
    """Trajectories."""

    @property
    def push(self) -> float:
        """p R E[A | recovered]: by how much purifying changes the push against failed first calls, per trajectory."""
        return self.recovered / self.of * self.advantage


def theory(rows: pl.DataFrame) -> Theory | None:
    """E[A | recovered] of the given rounds together: means weighted by how many recovered."""
    known = rows.filter(pl.col("advantage_recovered").is_not_null(), pl.col("recovered") > 0)
    if known.is_empty():
        return None
    count, mean = known["recovered"].to_numpy(), known["advantage_recovered"].to_numpy()
    error = known["advantage_recovered_se"].fill_null(0.0).to_numpy()
    return Theory(
        advantage=float(np.average(mean, weights=count)),
        standard_error=float(np.linalg.norm(error * count) / count.sum()),
        recovered=int(count.sum()),
        of=int(rows["trajectories"].sum()),
    )
