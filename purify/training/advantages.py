"""Advantages within groups, over a whole dataset at once.

mean_std        (r - mean) / (std + 1e-6), std with n - 1          GRPO, as in verl; TRL 1.16 adds 1e-4
mean            r - mean                                            Dr.GRPO (arXiv 2503.20783)
leave_one_out   r - mean of the others                              RLOO (arXiv 2402.14740)
optimal         r - beta log mean exp(r / beta)                     OAPL
"""

from __future__ import annotations

import polars as pl

EPSILON = 1e-6


def advantages(frame: pl.DataFrame, kind: str, beta: float | None = None) -> pl.DataFrame:
    """`frame` (group_id, reward, ...) with `advantage`, `single` and `zero_variance`, in the same order.

    A row without a reward has a null advantage and does not count in its group. `single`: the group has one reward.
    `zero_variance`: it has several, and all are equal. `beta` is that of `optimal` (1 where it is not given).
    """
    reward = pl.col("reward").cast(pl.Float64)
    # Sorted within a group: a float sum must not depend on the order in which threads deliver rows.
    ordered = reward.drop_nulls().sort()
    rewards = pl.col("reward").cast(pl.Float64).drop_nulls()
    groups = frame.group_by("group_id").agg(
        mean=ordered.mean(), spread=ordered.std(), size=rewards.len(), distinct=rewards.n_unique(),
        total=ordered.sum(), top=ordered.max(), value=((ordered - ordered.max()) / (beta or 1.0)).exp().mean(),
    )  # fmt: skip
    joined = frame.join(groups, on="group_id", how="left", maintain_order="left")
    own = reward
    found = {
        "mean_std": (own - pl.col("mean")) / (pl.col("spread") + EPSILON),
        "mean": own - pl.col("mean"),
        "leave_one_out": own - (pl.col("total") - own) / (pl.col("size") - 1),
        "optimal": own - pl.col("top") - (beta or 1.0) * pl.col("value").log(),
    }[kind]
    alone = pl.col("size") == 1
    flat = (pl.col("size") > 1) & (pl.col("distinct") == 1)
    return joined.with_columns(
        advantage=pl.when(alone | flat).then(own * 0.0).otherwise(found), single=alone, zero_variance=flat
    ).drop("mean", "spread", "size", "distinct", "total", "top", "value")
