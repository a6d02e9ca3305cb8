"""`purify stats`: the numbers of a dataset, before and after purifying.

purify stats purified/ --json | jq .before.failure_rate

It holds one row group at a time, and of it only the leaves that are counted; of each trajectory it keeps a few bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pyarrow as pa

from purify.datasets import Dataset
from purify.reporting import columns
from purify.reporting.advantage import advantages, recovered_rows
from purify.reporting.edits import edit_counts, edit_stats
from purify.reporting.figures import CallStats, Stats, ToolStats
from purify.reporting.remarks import remarks
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA
from purify_schemas.names import Status

_CLEAN = {"clean": "without a failed call"}
_RAW_SUBSETS = _CLEAN | {"first_failed": "whose first call failed", "recovered": "recovered from a failed call"}
_PURIFIED_SUBSETS = _CLEAN | {"edited": "edited", "recovered": "recovered from a failed call, edited or not"}


def stats(source: str | Path) -> Stats:
    """Count a dataset. Raises `PurifyError` if it is none, or damaged."""
    dataset = Dataset.open(source)
    counts: dict[str, list[pl.DataFrame]] = defaultdict(list)
    for table in _tables(dataset):
        for name, part in _counts(columns.numbered(table), dataset.purified):
            counts[name].append(part)
    return _report(dataset, {name: pl.concat(parts) for name, parts in counts.items()})


def _tables(dataset: Dataset) -> Iterable[pa.Table]:
    if not dataset.manifest.rows:
        # Without rows there is no row group, but every count is still to be 0.
        return [(PURIFIED_SCHEMA if dataset.purified else RAW_SCHEMA).empty_table()]
    leaves = ["group_id", "reward", *columns.STORED_CALLS, *columns.ROLES]
    if dataset.purified:
        leaves += [*columns.REMOVED_CALLS, *columns.EDITS, *columns.REMOVED_TEXT]
    return dataset.tables(leaves)


def _counts(frame: pl.DataFrame, purified: bool) -> Iterator[tuple[str, pl.DataFrame]]:
    """The counts of one row group, by name; those of a name are concatenated and added up in the end."""
    stored = columns.stored_calls(frame)
    removed = columns.removed_calls(frame) if purified else stored.clear()
    edited = columns.edits(frame).filter("accepted")["row"] if purified else stored.clear()["row"]
    failed_after = stored.filter(columns.failed())["row"]
    flags = {
        "failed_after": failed_after,
        "failed_before": pl.concat([failed_after, removed.filter(columns.failed())["row"]]),
        "first_failed": stored.unique("row", keep="first", maintain_order=True).filter(columns.failed())["row"],
        "edited": edited,
        "recovered": pl.concat([recovered_rows(frame), edited]),
    }
    # 64 bits tell the groups of a dataset apart, and stay small where millions of rows each have a long name.
    rows = frame.select(pl.col("group_id").hash().alias("group"), "reward", **_flagged(len(frame), flags))
    yield "rows", rows.with_columns(clean=~pl.col("failed_before"))
    yield "steps", pl.DataFrame({"len": [len(columns.steps(frame))]})
    for name, calls in (("stored", stored), ("removed", removed)):
        yield name, calls.group_by("name", "status", "error_type").len()
    if purified:
        yield from edit_counts(frame)


def _flagged(rows: int, flags: dict[str, pl.Series]) -> dict[str, pl.Series]:
    """Row numbers to one boolean a row."""
    columns = {}
    for name, where in flags.items():
        flag = np.zeros(rows, dtype=bool)
        flag[where.to_numpy()] = True
        columns[name] = pl.Series(flag)
    return columns


def _report(dataset: Dataset, counts: dict[str, pl.DataFrame]) -> Stats:
    rows, steps = counts["rows"], int(counts["steps"]["len"].sum())
    group_sizes = rows.group_by("group").len()["len"]
    mean = rows["reward"].cast(pl.Float64).mean()
    edits = edit_stats(counts, rows) if dataset.purified else None
    sampled = pl.concat([counts["stored"], counts["removed"]])
    report = Stats(
        kind=dataset.manifest.kind,
        rows=len(rows),
        groups=len(group_sizes),
        groups_shared=int((group_sizes > 1).sum()),
        rewarded=rows["reward"].count(),
        reward_mean=mean if isinstance(mean, float) else None,
        before=_calls(sampled, steps + (edits.turns_removed if edits else 0), rows["failed_before"]),
        after=_calls(counts["stored"], steps, rows["failed_after"]) if edits else None,
        edits=edits,
        advantage=advantages(rows, _PURIFIED_SUBSETS if edits else _RAW_SUBSETS),
        warnings=[],
    )
    return report.model_copy(update={"warnings": list(remarks(report, recovered=int(rows["recovered"].sum())))})


def _calls(counts: pl.DataFrame, steps: int, with_failure: pl.Series) -> CallStats:
    calls, failures = int(counts["len"].sum()), counts.filter(columns.failed())
    failed = int(failures["len"].sum())
    by_status = dict(columns.counted([counts], "status").iter_rows())
    error_type, tool = pl.col("error_type").fill_null(columns.NO_ERROR_TYPE), pl.col("name").fill_null(columns.NO_TOOL)
    broken = pl.when(columns.failed()).then("len").otherwise(0).sum().alias("failed")
    by_tool = counts.group_by(tool).agg(pl.col("len").sum(), broken)
    by_tool = by_tool.sort("failed", "len", "name", descending=[True, True, False])
    return CallStats(
        steps=steps,
        calls=calls,
        by_status={status: by_status[status] for status in get_args(Status) if status in by_status},
        failed=failed,
        failure_rate=failed / calls if calls else None,
        by_error_type=dict(columns.counted([failures.with_columns(error_type)], "error_type").iter_rows()),
        by_tool={name: ToolStats(calls=total, failed=bad) for name, total, bad in by_tool.iter_rows()},
        trajectories_with_failure=int(with_failure.sum()),
    )
