"""Which rows match: decided on Parquet leaves, so that millions of rows are searched without being read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.reporting import columns
from purify_schemas.provenance import EditReason, Granularity

Kind = Literal["edits", "tools", "error types"]

_SHOWN = 10


class Filter(BaseModel):
    """What a trajectory must have to be shown: all that is set.

    What is asked of calls, one call must have; so must one accepted edit, and one refused one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    edited: bool = Field(default=False, description="Has an accepted edit.")
    refused: bool = Field(default=False, description="Has a refused edit.")
    granularity: Granularity | None = Field(default=None, description="Has an accepted edit of this granularity.")
    reason: EditReason | None = Field(default=None, description="Has an edit refused for this reason.")
    error_type: str | None = Field(default=None, description="Has a failed call of this error type.")
    tool: str | None = Field(default=None, description="Has a call of this tool.")
    failed: bool = Field(default=False, description="Has a failed call left.")
    id: str | None = Field(default=None, description="trajectory_id starts with this.")
    row: Annotated[int, Field(ge=0)] | None = Field(default=None, description="Row number, from 0.")

    def given(self) -> list[Filter]:
        """One filter for each condition."""
        return [Filter.model_validate({name: value}) for name, value in self._set().items()]

    def __str__(self) -> str:
        """As on the command line."""
        options = {f"--{name.replace('_', '-')}": value for name, value in self._set().items()}
        return " ".join(name if value is True else f"{name} {value}" for name, value in options.items())

    def _set(self) -> dict[str, object]:
        return {name: value for name, value in self if value is not None and value is not False}

    @property
    def of_calls(self) -> bool:
        return self.error_type is not None or self.tool is not None or self.failed

    @property
    def of_edits(self) -> bool:
        return self.edited or self.refused or self.granularity is not None or self.reason is not None


def matching_rows(dataset: Dataset, wanted: Filter) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The numbers of all matching rows, in order.

    Raises `PurifyError` if the filter asks for edits of a raw dataset, or for a row that there is not.
    """
    check(dataset, wanted)
    if not wanted.given():
        return np.arange(len(dataset))
    removed = dataset.purified and not wanted.failed
    leaves = ["trajectory_id"]
    if wanted.of_calls:
        leaves += columns.STORED_CALLS + (columns.REMOVED_CALLS if removed else [])
    if wanted.of_edits:
        leaves += columns.EDITS
    found, first = [np.empty(0, dtype=np.int64)], 0
    for table in dataset.tables(leaves):
        rows = _matching(columns.numbered(table), wanted, removed).to_numpy().astype(np.int64) + first
        found.append(rows if wanted.row is None else rows[rows == wanted.row])
        first += len(table)
    return np.concatenate(found)


def check(dataset: Dataset, wanted: Filter) -> None:
    """Raise `PurifyError` if the filter asks for edits of a raw dataset, or for a row that there is not."""
    if wanted.of_edits and not dataset.purified:
        raise PurifyError(f"{dataset.path}: is a raw dataset, it has no edits to look for; `purify clean` it first")
    if wanted.row is not None and wanted.row >= len(dataset):
        raise PurifyError(f"{dataset.path}: there is no row {wanted.row}; it has {len(dataset):,} rows, from 0 on")


def _matching(frame: pl.DataFrame, wanted: Filter, removed: bool) -> pl.Series:
    rows = frame.select("row", "trajectory_id")
    if wanted.id is not None:
        rows = rows.filter(pl.col("trajectory_id").str.starts_with(wanted.id))
    if wanted.of_calls:
        calls = sampled_calls(frame, removed)
        if wanted.failed:
            calls = calls.filter(columns.failed())
        if wanted.error_type is not None:
            calls = calls.filter(pl.col("error_type") == wanted.error_type)
        if wanted.tool is not None:
            calls = calls.filter(pl.col("name") == wanted.tool)
        rows = rows.join(calls, on="row", how="semi")
    if wanted.of_edits:
        edits = columns.edits(frame)
        made, refused = edits.filter("accepted"), edits.filter(~pl.col("accepted"))
        if wanted.granularity is not None:
            made = made.filter(pl.col("granularity") == wanted.granularity)
        if wanted.reason is not None:
            refused = refused.filter(pl.col("reason") == wanted.reason)
        if wanted.edited or wanted.granularity is not None:
            rows = rows.join(made, on="row", how="semi")
        if wanted.refused or wanted.reason is not None:
            rows = rows.join(refused, on="row", how="semi")
    return rows["row"].sort()


def sampled_calls(frame: pl.DataFrame, removed: bool) -> pl.DataFrame:
    """Calls as sampled, those an edit took out too: one looks for an error that has been purified away.

    `error_type` is null of calls that did not fail. Needs `STORED_CALLS`; with `removed`, `REMOVED_CALLS` too.
    """
    calls = [columns.stored_calls(frame)] + ([columns.removed_calls(frame)] if removed else [])
    return pl.concat(calls).with_columns(
        pl.col("name").fill_null(columns.NO_TOOL),
        pl.when(columns.failed()).then(pl.col("error_type").fill_null(columns.NO_ERROR_TYPE)),
    )


def why_nothing(dataset: Dataset, wanted: Filter) -> str:
    """Which condition no row meets, and what there is instead; or that none meets them all."""
    if not len(dataset):
        return "the dataset has no rows"
    alone = [(condition, len(matching_rows(dataset, condition))) for condition in wanted.given()]
    for condition, count in alone:
        if not count:
            return f"no row matches {condition}; {_instead(dataset, condition)}"
    return "no row matches all of " + ", ".join(f"{condition} ({count:,} alone)" for condition, count in alone)


def _instead(dataset: Dataset, condition: Filter) -> str:
    if condition.id is not None:
        first = next((table["trajectory_id"][0].as_py() for table in dataset.tables(["trajectory_id"])), "")
        return f"the first trajectory_id is {first}"
    if condition.failed:
        return "no failed call is left" if dataset.purified else "no call failed"
    what: Kind = "edits" if condition.of_edits else "tools" if condition.error_type is None else "error types"
    there = values(dataset, what)
    listed = ", ".join(f"{value} ({count:,})" for value, count in there[:_SHOWN])
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    return f"{what} of this dataset: {listed or 'none'}{more}"


def values(dataset: Dataset, what: Kind) -> list[tuple[str, int]]:
    """What a condition can ask for, and how often it is there, the most frequent first."""
    if not len(dataset):
        return []
    return columns.counted(_values(dataset, what), "value").drop_nulls("value").rows()


def _values(dataset: Dataset, what: Kind) -> Iterator[pl.DataFrame]:
    """Counts of the values that a condition could have asked for, row group by row group."""
    if what == "edits":
        for table in dataset.tables(columns.EDITS):
            edits = columns.edits(columns.numbered(table))
            made = pl.when("accepted").then("granularity").otherwise("refused: " + pl.col("reason"))
            yield edits.group_by(made.alias("value")).len()
        return
    leaves = columns.STORED_CALLS + (columns.REMOVED_CALLS if dataset.purified else [])
    column = "error_type" if what == "error types" else "name"
    for table in dataset.tables(leaves):
        calls = sampled_calls(columns.numbered(table), dataset.purified)
        yield calls.group_by(pl.col(column).alias("value")).len()
