"""From the results to what the tables say. All intervals are over seeds: 95 %, Student's t. They cover the draw of
rollouts and batches: policies, tasks and their order are the same for all seeds.

Two arms of one (design, algorithm, seed) share policy, tasks and first rollouts, so their difference is taken seed by
seed (`paired`) before it is averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

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
    """The rows of one arm, all seeds. Raises `ValueError` if a seed was run with several settings."""
    rows = results.filter(pl.col("design") == design, pl.col("algorithm") == algorithm, pl.col("arm") == arm)
    if rows.select("seed", "tasks", "updates").is_duplicated().any():
        raise ValueError(f"{design} {algorithm} {arm}: a seed has several results")
    return rows


def last(rows: pl.DataFrame, figure: str) -> dict[int, float]:
    """By seed, a figure of the last policy on the held-out tasks; seeds for which it is not defined are left out."""
    held_out = rows.filter(pl.col("tasks") == "held_out", pl.col("updates") > 0, pl.col(figure).is_not_null())
    return dict(held_out.sort("seed").select("seed", figure).iter_rows())


def first(rows: pl.DataFrame, figure: str) -> dict[int, float]:
    """By seed, the same of the policy that training begins with. One policy: seeds are those of sampling."""
    held_out = rows.filter(pl.col("tasks") == "held_out", pl.col("updates") == 0, pl.col(figure).is_not_null())
    return dict(held_out.sort("seed").select("seed", figure).iter_rows())


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


class Sooner(NamedTuple):
    """When an arm is where raw ends."""

    share: float | None
    """Of raw's updates; None: it never is."""
    raw_improved: bool
    """Whether raw's end is better than its start; where it is not, every arm is there before its first update."""


def sooner(arm: pl.DataFrame, raw: pl.DataFrame, figure: str, *, falling: bool) -> Sooner:
    """Updates after which the arm's mean curve is where raw's ends, as a share of all updates of raw's curve."""
    updates, means = curve(raw, figure)
    end, start = means[-1].value, means[0].value
    at, found = curve(arm, figure)
    reached = updates_to_reach(at, [mean.value for mean in found], end, falling=falling)
    share = None if reached is None else reached / updates[-1]
    return Sooner(share, end < start if falling else end > start)


class Theory(NamedTuple):
    """What `purify stats` says of raw rollouts."""

    advantage: Mean
    """E[A | recovered], over seeds."""
    push: Mean
    """The same times the share of trajectories that recovered: what purifying all adds to the push against failures."""

    @property
    def sign(self) -> int:
        """1: purifying all should help, -1: it should hurt, 0: the interval holds 0."""
        value, half = self.advantage.value, self.advantage.half
        return 0 if half is None or abs(value) <= half else 1 if value > 0 else -1


def theory(rows: pl.DataFrame) -> Theory | None:
    """E[A | recovered] of the given rounds, seed by seed, weighted by how many recovered; None if none did."""
    known = rows.filter(pl.col("advantage_recovered").is_not_null(), pl.col("recovered") > 0)
    count = pl.col("recovered")
    by_seed = (
        known.group_by("seed")
        .agg(
            advantage=(pl.col("advantage_recovered") * count).sum() / count.sum(),
            share=count.sum() / pl.col("trajectories").sum(),
        )
        .sort("seed")
    )
    advantage = mean_of(by_seed["advantage"].to_list())
    push = mean_of((by_seed["advantage"] * by_seed["share"]).to_list())
    return Theory(advantage, push) if advantage and push else None
