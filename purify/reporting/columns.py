"""The few Parquet leaves that reports and filters look at, as tidy polars frames.

A Parquet reader can leave out leaves inside nested columns: the status of every call comes without the texts, ids and
log-probs around it (polars' own scan reads the whole `steps` column, 7 times slower). So memory and time do not grow
with how much the model wrote, and no row becomes a Python object.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from purify_schemas import FAILED

NO_TOOL = "(not parsed)"
"""Stands for the tool of a call that could not be parsed."""
NO_ERROR_TYPE = "(no type)"
"""Stands for the error type of a failed call whose source or rule gave none."""

_ITEM = ".list.element"
_STEP = f"steps{_ITEM}"
_EDIT = f"provenance.edits{_ITEM}"
_REMOVED = f"{_EDIT}.removed{_ITEM}"
_CALL = ("name", "status", "error_type")

STORED_CALLS = [f"{_STEP}.calls{_ITEM}.{name}" for name in _CALL]
REMOVED_CALLS = [f"{_REMOVED}.{name}" for name in ("raw_step", "part")] + [
    f"{_REMOVED}.calls{_ITEM}.{name}" for name in _CALL
]
ROLES = [f"{_STEP}.observation.messages{_ITEM}.role"]
EDITS = [
    *(f"{_EDIT}.{name}" for name in ("accepted", "reason", "reasoning_from", "threshold")),
    f"{_EDIT}.raw_steps{_ITEM}",
    *(f"{_EDIT}.links{_ITEM}.{name}" for name in ("from_step", "similarity")),
    *(f"{_EDIT}.gates{_ITEM}.{name}" for name in ("name", "verdict")),
    "provenance.mixed_in",
]
REMOVED_TEXT = [
    *(f"{_REMOVED}.{side}.{name}" for side in ("reasoning", "action") for name in ("text", f"token_ids{_ITEM}")),
    f"{_REMOVED}.calls{_ITEM}.arguments",
    f"{_REMOVED}.observation.token_ids{_ITEM}",
    f"{_REMOVED}.observation.messages{_ITEM}.content",
]


def numbered(table: pa.Table) -> pl.DataFrame:
    """A table as a frame with its row numbers, `row`, from 0."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.with_row_index("row")


def elements(frame: pl.DataFrame, column: str, *, index: str | None = None) -> pl.DataFrame:
    """One row for each struct in a list column: its fields become columns, the columns beside it are repeated.

    Null and empty lists give no row. `index` names a column for the element's position.
    """
    listed = frame.filter(pl.col(column).list.len() > 0)
    if index is None:
        return listed.explode(column).unnest(column)
    positions = pl.int_ranges(pl.col(column).list.len(), dtype=pl.Int64).alias(index)
    return listed.with_columns(positions).explode(column, index).unnest(column)


def steps(frame: pl.DataFrame) -> pl.DataFrame:
    """`row, step` and the step's own fields, for every stored step. Needs leaves of `steps`."""
    return elements(frame.select("row", "steps"), "steps", index="step")


def stored_calls(frame: pl.DataFrame) -> pl.DataFrame:
    """`row, step, name, status, error_type` of every call in `steps`, in order. Needs `STORED_CALLS`."""
    return elements(steps(frame).select("row", "step", "calls"), "calls")


def edits(frame: pl.DataFrame) -> pl.DataFrame:
    """`row, edit, granularity` and the fields of every edit, made or refused. Needs leaves of provenance."""
    found = elements(frame.select("row", pl.col("provenance").struct.field("edits")), "edits", index="edit")
    if "raw_steps" not in found.columns:
        return found
    # As Edit.granularity: shallow keeps the first failed turn's reasoning, null had nothing to graft.
    kept = pl.col("reasoning_from") == pl.col("raw_steps").list.first()
    return found.with_columns(
        granularity=pl.when(kept).then(pl.lit("shallow")).when(kept.is_not_null()).then(pl.lit("deep"))
    )


def removed_parts(frame: pl.DataFrame) -> pl.DataFrame:
    """`row` and the fields of every removed part. Needs leaves of `provenance.edits.removed`."""
    return elements(edits(frame).select("row", "removed"), "removed")


def removed_calls(frame: pl.DataFrame) -> pl.DataFrame:
    """`row, step, name, status, error_type` of every call that an edit took out; `step` is the raw one.

    Needs `REMOVED_CALLS`. A removed reasoning has no calls of its own: they are still in the trajectory.
    """
    return elements(
        removed_parts(frame).select("row", pl.col("raw_step").cast(pl.Int64).alias("step"), "calls"), "calls"
    )


def failed() -> pl.Expr:
    """Whether a call failed by the model's own fault."""
    return pl.col("status").is_in(sorted(FAILED))


def counted(frames: Iterable[pl.DataFrame], *by: str) -> pl.DataFrame:
    """Add up the `len` of partial counts, the most frequent first."""
    return (
        pl.concat(frames).group_by(by).agg(pl.col("len").sum()).sort("len", *by, descending=[True, *[False] * len(by)])
    )
