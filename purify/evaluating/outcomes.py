"""What evaluation looks at: one row a trajectory, read from a few Parquet leaves."""

from __future__ import annotations

import polars as pl

from purify.datasets import Dataset
from purify.reporting import columns

_SIDES = ("reasoning", "action")
_LEAVES = [
    "task_id",
    "reward",
    *columns.STORED_CALLS,
    *(f"steps.list.element.{side}.token_ids.list.element" for side in _SIDES),
]
_SCHEMA: dict[str, pl.DataType] = {
    "task_id": pl.String(),
    "reward": pl.Float64(),
    "turns": pl.Int64(),
    "tokens": pl.Int64(),
    "calls": pl.Int64(),
    "failed": pl.Int64(),
    "first_failed": pl.Boolean(),
    "removed": pl.Int64(),
    "removed_failed": pl.Int64(),
}


def outcomes(dataset: Dataset) -> pl.DataFrame:
    """`task_id, reward, turns, tokens, calls, failed, first_failed, removed, removed_failed` of every trajectory.

    `reward` is null where there is none, `tokens` (the model's own) where no ids are stored, `first_failed` where there
    is no call. `removed` are the calls that an edit took out.
    """
    leaves = _LEAVES + (columns.REMOVED_CALLS if dataset.purified else [])
    # A dataset without rows has no row group.
    parts = [_of_group(columns.numbered(table), dataset.purified) for table in dataset.tables(leaves)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_SCHEMA)


def _of_group(frame: pl.DataFrame, purified: bool) -> pl.DataFrame:
    steps = columns.steps(frame)
    ids = [pl.col(side).struct.field("token_ids").list.len() for side in _SIDES]
    written = steps.with_columns(
        tokens=pl.when(pl.any_horizontal(*(n.is_not_null() for n in ids))).then(pl.sum_horizontal(*ids))
    )
    calls = columns.stored_calls(frame)
    removed = columns.removed_calls(frame) if purified else calls.clear()
    failed = columns.failed()
    found = {
        # A sum over nothing is 0 in polars; a trajectory without ids has an unknown number of tokens.
        "steps": written.group_by("row").agg(
            turns=pl.len(), tokens=pl.when(pl.col("tokens").is_not_null().any()).then(pl.col("tokens").sum())
        ),
        "calls": calls.group_by("row", maintain_order=True).agg(
            calls=pl.len(), failed=failed.sum(), first_failed=failed.first()
        ),
        "removed": removed.group_by("row").agg(removed=pl.len(), removed_failed=failed.sum()),
    }
    rows = frame.select("row", "task_id", "reward")
    for part in found.values():
        rows = rows.join(part, on="row", how="left", maintain_order="left")
    counts = ("turns", "calls", "failed", "removed", "removed_failed")
    return rows.with_columns(pl.col(counts).fill_null(0)).select(
        pl.col(name).cast(kind) for name, kind in _SCHEMA.items()
    )
