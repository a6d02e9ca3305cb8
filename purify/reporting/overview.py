"""One line for each trajectory: reward, steps, edits, failures. From Parquet leaves, so no row becomes a trajectory."""

from __future__ import annotations

from threading import Lock
from typing import NamedTuple

import polars as pl

from purify.reporting import columns
from purify.reporting.filters import sampled_calls
from purify.reporting.reader import RowGroup, RowReader

_EDITS = [
    *(f"provenance.edits.list.element.{name}" for name in ("accepted", "reasoning_from")),
    "provenance.edits.list.element.raw_steps.list.element",
    "provenance.online",
]
_KEPT = 500_000
"""Lines kept in memory: about 100 MB."""


class Line(NamedTuple):
    """What a table of trajectories says about one of them."""

    trajectory_id: str
    task_id: str
    reward: float | None
    raw_steps: int
    """Steps before purifying. Of a trajectory edited while generating: as `steps`, for no raw one existed."""
    steps: int
    edits: int
    refused: int
    failed: int
    """Failed calls that are left."""
    error_types: list[str]
    """Of failed calls as sampled, those that an edit took out too; the most frequent first."""


class Overview:
    """The lines of a dataset, read when they are looked at, a row group at a time."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._frames: dict[RowGroup, pl.DataFrame] = {}
        self._lock = Lock()

    def get(self, row: int) -> Line | None:
        """The line of a row, or null if it has not been loaded."""
        for group, frame in self._frames.items():
            if group.first <= row < group.first + group.rows:
                return Line(*frame.row(row - group.first))
        return None

    def load(self, group: RowGroup) -> None:
        """Read the lines of a row group; the oldest ones are forgotten where they grow too many.

        Raises `PurifyError` if the shard is damaged.
        """
        purified = self._reader.dataset.purified
        leaves = ["trajectory_id", "task_id", "reward", *columns.STORED_CALLS]
        leaves += [*columns.REMOVED_CALLS, *_EDITS] if purified else []
        with self._lock:
            if group in self._frames:
                return
            loaded = lines(columns.numbered(self._reader.table(group, leaves)), purified)
            frames = {**self._frames, group: loaded}
            while sum(kept.rows for kept in frames) > _KEPT and len(frames) > 1:
                del frames[next(iter(frames))]
            self._frames = frames  # replaced, not changed: another thread may be looking something up


def lines(frame: pl.DataFrame, purified: bool) -> pl.DataFrame:
    """The fields of `Line` as columns, one row for each trajectory, in order."""
    calls = columns.stored_calls(frame).filter(columns.failed())
    errors = sampled_calls(frame, purified).drop_nulls("error_type").group_by("row", "error_type").len()
    found = (
        frame.select("row", "trajectory_id", "task_id", "reward", pl.col("steps").list.len().fill_null(0))
        .join(calls.group_by("row").agg(failed=pl.len()), on="row", how="left")
        .join(
            errors.sort("row", "len", "error_type", descending=[False, True, False])
            .group_by("row", maintain_order=True)
            .agg(error_types="error_type"),
            on="row",
            how="left",
        )
    )
    if purified:
        found = found.join(_edits(frame), on="row", how="left")
    else:
        found = found.with_columns(edits=0, refused=0, dropped=0)
    count = pl.col("edits", "refused", "dropped", "failed", "steps").cast(pl.Int64).fill_null(0)
    return (
        found.sort("row")
        .with_columns(count, pl.col("error_types").fill_null(pl.lit([], dtype=pl.List(pl.String))))
        .with_columns(raw_steps=pl.col("steps") + pl.col("dropped"))
        .select(Line._fields)
    )


def _edits(frame: pl.DataFrame) -> pl.DataFrame:
    """`row, edits, refused, dropped`: an accepted edit puts one step in the place of several."""
    online = frame.select("row", pl.col("provenance").struct.field("online").fill_null(False))
    offline = pl.when("online").then(0).otherwise(pl.col("raw_steps").list.len().cast(pl.Int64) - 1)
    return (
        columns.edits(frame)
        .join(online, on="row", how="left")
        .group_by("row")
        .agg(
            edits=pl.col("accepted").sum(),
            refused=(~pl.col("accepted")).sum(),
            dropped=offline.filter("accepted").sum(),
        )
    )
