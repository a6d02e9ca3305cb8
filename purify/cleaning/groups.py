"""Mean reward of every GRPO group, over the whole dataset in one lazy scan."""

from __future__ import annotations

from purify.datasets import Dataset
from purify.errors import PurifyError


def group_means(dataset: Dataset) -> dict[str, float]:
    """group_id -> mean reward, for groups in which at least two trajectories have one.

    Raises `PurifyError` if there are no rewards, or no group to compare within: winners would be a silent no-op.
    """
    import polars as pl

    for shard in dataset.manifest.shards:
        dataset.check_shard(shard)
    rewarded = dataset.scan().select("group_id", "reward").filter(pl.col("reward").is_not_null())
    # Sorted within a group: a float sum must not depend on the order in which threads deliver rows.
    means = (
        rewarded.group_by("group_id")
        .agg(pl.col("reward").cast(pl.Float64).sort().mean().alias("mean"), pl.len().alias("size"))
        .collect()
    )
    if means.is_empty():
        raise PurifyError(f"{dataset.path}: apply_to winners needs rewards, and no row has one; use --apply-to all")
    shared = means.filter(pl.col("size") > 1)
    if shared.is_empty():
        raise PurifyError(
            f"{dataset.path}: apply_to winners compares rewards within a group, and every group has one trajectory; "
            "import with --task-by or --policy so that samples of a task share a group, or use --apply-to all"
        )
    return dict(shared.select("group_id", "mean").iter_rows())
