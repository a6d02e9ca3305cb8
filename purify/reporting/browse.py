"""`purify inspect`: find trajectories, and read only those.

    for row, trajectory in read_rows(dataset, [3, 70_000]):
        ...

Row numbers are found on columns (`filters.py`); of the shards, only the row groups that hold them are read, and only
the found rows become Python objects.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from purify.datasets import Dataset
from purify.datasets.parquet import open_shard
from purify.errors import PurifyError, first_problem
from purify.reporting.filters import Filter, matching_rows, why_nothing
from purify_schemas import Trajectory, from_table


@dataclass(frozen=True)
class Page:
    """Some of the matching trajectories. `nothing` says why there is none."""

    rows: Iterable[tuple[int, Trajectory]]
    first: int
    """How many matching trajectories come before the page."""
    last: int
    matching: int
    nothing: str | None = None


def browse(source: str | Path, wanted: Filter | None = None, *, page: int = 1, limit: int | None = 5) -> Page:
    """One page (from 1) of the trajectories that match, with their row numbers; all of them without a limit.

    Raises `PurifyError` if `source` is no dataset, or `wanted` asks for what such a dataset cannot have.
    """
    wanted = wanted or Filter()
    dataset = Dataset.open(source)
    rows = matching_rows(dataset, wanted)
    if not len(rows):
        return Page((), 0, 0, 0, why_nothing(dataset, wanted))
    limit = limit or len(rows)
    first = min((page - 1) * limit, len(rows))
    chosen = rows[first : first + limit].tolist()
    pages = -(-len(rows) // limit)
    nothing = None if chosen else f"there is no page {page}: {len(rows):,} matching row(s) fill {pages:,} page(s)"
    return Page(read_rows(dataset, chosen), first, first + len(chosen), len(rows), nothing)


def read_rows(dataset: Dataset, rows: Sequence[int]) -> Iterator[tuple[int, Trajectory]]:
    """The trajectories at the given row numbers (ascending), with those numbers, one in memory at a time.

    Raises `PurifyError` if a shard is damaged.
    """
    first = 0
    for shard in dataset.manifest.shards:
        here = _between(rows, first, first + shard.rows)
        if here:
            for row, trajectory in _read_shard(dataset.path / shard.path, [row - first for row in here]):
                yield first + row, trajectory
        first += shard.rows


def _read_shard(path: Path, rows: Sequence[int]) -> Iterator[tuple[int, Trajectory]]:
    with open_shard(path) as file:
        first = 0
        for index in range(file.num_row_groups):
            count = file.metadata.row_group(index).num_rows
            if here := _between(rows, first, first + count):
                table = file.read_row_group(index)
                for row in here:
                    yield row, only_trajectory(table.slice(row - first, 1), f"{path} row {row}")
            first += count


def only_trajectory(table: pa.Table, where: str) -> Trajectory:
    """The trajectory of a table with one row. Raises `PurifyError`, naming `where`, if it is not valid."""
    try:
        return next(from_table(table))
    except ValidationError as error:
        what = first_problem(error)
        raise PurifyError(f"{where}: not a valid trajectory ({what}); `purify verify` finds all of them") from None


def _between(rows: Sequence[int], first: int, end: int) -> Sequence[int]:
    return rows[bisect_left(rows, first) : bisect_left(rows, end)]
