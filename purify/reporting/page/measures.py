"""The numbers of the page that `purify stats` does not have: text that was kept, and how rewards spread over groups."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from purify.datasets import Dataset
from purify.reporting import columns
from purify.reporting.edits import written_text

MEANS = 20
"""Bins of the histogram of group means."""

_STEP = "steps.list.element"
_TEXT = [
    *(f"{_STEP}.{side}.{name}" for side in ("reasoning", "action") for name in ("text", "token_ids.list.element")),
    f"{_STEP}.calls.list.element.arguments",
    f"{_STEP}.observation.token_ids.list.element",
    f"{_STEP}.observation.messages.list.element.content",
]


class TextCost(NamedTuple):
    """What the steps of a dataset hold. `tokens` is null where no ids are stored."""

    turns: int
    tokens: int | None
    characters: int


class GroupRewards(NamedTuple):
    """Groups with at least two rewarded trajectories, by how many of these are right (a reward above 0)."""

    groups: int
    all_right: int
    all_wrong: int
    mixed: int
    low: float
    """The lowest reward, and the highest: the ends of the histogram."""
    high: float
    means: list[int]
    """How many groups have their mean reward in each of `MEANS` bins."""


def stored_text(dataset: Dataset) -> TextCost:
    """Turns, tokens and characters as stored, without the prompts. One row group in memory at a time."""
    total = TextCost(0, None, 0)
    for table in dataset.tables(_TEXT):
        steps = columns.steps(columns.numbered(table)).with_columns(part=pl.lit("step"))
        turns, tokens, characters = written_text(steps).row(0)
        both = None if tokens is None and total.tokens is None else (tokens or 0) + (total.tokens or 0)
        total = TextCost(total.turns + turns, both, total.characters + characters)
    return total


def group_rewards(dataset: Dataset) -> GroupRewards | None:
    """None where no two rewarded trajectories share a group."""
    parts = [
        columns.numbered(table).select(pl.col("group_id").hash().alias("group"), pl.col("reward").cast(pl.Float64))
        for table in dataset.tables(["group_id", "reward"])
    ]
    if not parts:
        return None
    rows = pl.concat(parts).drop_nulls("reward")
    right = pl.col("reward") > 0
    groups = (
        rows.group_by("group").agg(pl.len(), mean=pl.col("reward").mean(), right=right.mean()).filter(pl.col("len") > 1)
    )
    if groups.is_empty():
        return None
    low, high = _number(rows["reward"].min()), _number(rows["reward"].max())
    width = (high - low) / MEANS or 1.0
    bins = ((groups["mean"] - low) / width + 1e-9).floor().clip(0, MEANS - 1).cast(pl.Int64).to_list()
    return GroupRewards(
        groups=len(groups),
        all_right=int((groups["right"] == 1).sum()),
        all_wrong=int((groups["right"] == 0).sum()),
        mixed=int(groups["right"].is_between(0, 1, closed="none").sum()),
        low=low,
        high=high,
        means=[bins.count(at) for at in range(MEANS)],
    )


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value
