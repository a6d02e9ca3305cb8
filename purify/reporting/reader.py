"""Read a dataset at any row: only the row groups of what is looked at, and only the columns that are asked for.

    reader = RowReader(Dataset.open("purified/"))
    reader.trajectory(70_000)

Made for a browser, which goes back and forth: the last row group that was read whole stays in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import RLock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from purify.datasets import Dataset
from purify.datasets.parquet import open_shard
from purify.errors import PurifyError
from purify.reporting.browse import only_trajectory
from purify_schemas import Trajectory

Rows = npt.NDArray[np.int64]
"""Row numbers of a dataset, ascending."""


@dataclass(frozen=True)
class RowGroup:
    """Where some consecutive rows of a dataset are: the `index`-th row group of a shard."""

    shard: int
    index: int
    first: int
    rows: int


class RowReader:
    """Random access to a dataset. Threads may share one.

    Every method raises `PurifyError` if a shard is damaged.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._ends = list(accumulate(shard.rows for shard in dataset.manifest.shards))
        self._groups: dict[int, list[RowGroup]] = {}
        self._whole: tuple[RowGroup, pa.Table] | None = None
        self._lock = RLock()

    def table(self, group: RowGroup, columns: list[str] | None = None) -> pa.Table:
        """The rows of one row group, all columns or only these leaves."""
        with open_shard(self._path(group.shard)) as file:
            return file.read_row_group(group.index, columns=columns)

    def trajectory(self, row: int) -> Trajectory:
        """One trajectory. Raises `PurifyError` if it is not valid."""
        group = self.group(row)
        with self._lock:
            if self._whole is None or self._whole[0] != group:
                self._whole = None  # two row groups would be twice the memory
                self._whole = group, self.table(group)
            table = self._whole[1]
        return only_trajectory(table.slice(row - group.first, 1), f"{self._path(group.shard)} row {row}")

    def group(self, row: int) -> RowGroup:
        """The row group that holds a row."""
        shard = int(np.searchsorted(self._ends, row, side="right"))
        groups = self._of_shard(shard)
        return groups[int(np.searchsorted([group.first for group in groups], row, side="right")) - 1]

    def groups(self, rows: Rows) -> Iterator[tuple[RowGroup, Rows]]:
        """The row groups that hold any of the rows, in order, each with its rows."""
        at = 0
        while at < len(rows):
            group = self.group(int(rows[at]))
            end = int(np.searchsorted(rows, group.first + group.rows))
            yield group, rows[at:end]
            at = end

    def _of_shard(self, shard: int) -> list[RowGroup]:
        with self._lock:
            if shard not in self._groups:
                path = self._path(shard)
                with open_shard(path) as file:
                    sizes = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
                promised = self.dataset.manifest.shards[shard].rows
                if sum(sizes) != promised:
                    raise PurifyError(
                        f"{path}: {sum(sizes):,} rows, its manifest says {promised:,}; restore it from a copy"
                    )
                ends = accumulate(sizes, initial=self._ends[shard] - promised)
                self._groups[shard] = [
                    RowGroup(shard, index, first, size)
                    for index, (first, size) in enumerate(zip(ends, sizes, strict=False))
                ]
            return self._groups[shard]

    def _path(self, shard: int) -> Path:
        return self.dataset.path / self.dataset.manifest.shards[shard].path
