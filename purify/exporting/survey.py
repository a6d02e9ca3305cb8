"""What some formats must know of the whole dataset before they write the first record: one lazy scan each.

Each shard is given only what concerns it, since it may be written by another process.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from purify.datasets import Dataset


def group_means(dataset: Dataset) -> Iterator[dict[str, float]]:
    """For each shard: group_id -> mean reward, of groups in which at least two trajectories have one."""
    import polars as pl

    rewarded = dataset.scan().select("group_id", "reward").filter(pl.col("reward").is_not_null())
    # Sorted within a group: a float sum must not depend on the order in which threads deliver rows.
    means = (
        rewarded.group_by("group_id")
        .agg(pl.col("reward").cast(pl.Float64).sort().mean().alias("mean"), pl.len().alias("size"))
        .filter(pl.col("size") > 1)
        .select("group_id", "mean")
        .collect()
    )
    for shard in dataset.manifest.shards:
        groups = pl.scan_parquet(dataset.path / shard.path).select("group_id").unique().collect()
        yield dict(means.join(groups, on="group_id", how="semi").iter_rows())


class Task(NamedTuple):
    number: int
    """Position among the tasks, in the order of the dataset."""
    samples: int


def first_of_each_task(dataset: Dataset) -> list[dict[int, Task]]:
    """For each shard: row -> task, where a trajectory stands for its task: the first with a reference, else the first.

    Two trajectories are of one task if their framework and `task_id` are the same.
    """
    chosen: dict[tuple[str, str], tuple[bool, tuple[int, int]]] = {}
    samples: dict[tuple[str, str], int] = defaultdict(int)
    for shard, info in enumerate(dataset.manifest.shards):
        for row, (framework, task_id, referenced) in enumerate(_tasks(dataset.path / info.path)):
            task = (framework or "", task_id)
            samples[task] += 1
            if task not in chosen or (referenced and not chosen[task][0]):
                chosen[task] = (referenced, (shard, row))
    found: list[dict[int, Task]] = [{} for _ in dataset.manifest.shards]
    for number, (task, (_, (shard, row))) in enumerate(chosen.items()):
        found[shard][row] = Task(number, samples[task])
    return found


def _tasks(shard: Path) -> list[tuple[str | None, str, bool]]:
    """Framework, task, and whether there is a reference, of each row."""
    import polars as pl

    columns = pl.scan_parquet(shard).select(
        pl.col("source").struct.field("framework"), "task_id", pl.col("reference").is_not_null().alias("referenced")
    )
    return columns.collect().rows()
