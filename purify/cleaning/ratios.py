"""Importance ratios of edits, from a scored dataset that descends from the one being cleaned.

Cleaning and scoring keep shards and rows in place, so shard n of the scored dataset speaks of the rows in shard n of
the raw one; one shard's ratios are in memory at a time. Within it the join is on the row and the raw step numbers,
which no option of the pass changes; a trajectory_id may occur twice.
"""

from __future__ import annotations

from collections import defaultdict

import pyarrow.compute as pc

from purify.datasets import Dataset
from purify.datasets.parquet import row_groups
from purify.errors import PurifyError
from purify.saar.apply import flat_list
from purify.saar.config import SaarConfig
from purify.saar.gates import EditKey

_EDIT = "provenance.edits.list.element"
_SCORE = "scores.edits.list.element"
_LEAVES = [
    f"{_EDIT}.accepted",
    f"{_EDIT}.reasoning_from",
    f"{_EDIT}.raw_steps.list.element",
    f"{_SCORE}.log_ratio",
    f"{_SCORE}.raw_steps.list.element",
]


def check_scored(dataset: Dataset, config: SaarConfig, scored: Dataset | None) -> None:
    """Raises `PurifyError` if the ratios that `config` asks for cannot come from `scored`."""
    if scored is None:
        if config.min_importance is not None:
            raise PurifyError(
                "--min-importance needs --scored, an earlier purification of the same dataset that `purify score` read"
            )
        return
    if config.min_importance is None:
        raise PurifyError("--scored is read only with --min-importance")
    if not (scored.scored and scored.purified):
        what = "is not scored; run `purify score` on it" if scored.purified else "is not purified, so it has no edits"
        raise PurifyError(f"{scored.path}: {what}")
    if dataset.manifest.digest not in {ancestor.digest for ancestor in scored.manifest.lineage}:
        raise PurifyError(
            f"{scored.path}: does not descend from {dataset.path} (digest {dataset.manifest.digest}); "
            "clean that very dataset, score the result, then clean again"
        )
    if [shard.rows for shard in scored.manifest.shards] != [shard.rows for shard in dataset.manifest.shards]:
        raise PurifyError(f"{scored.path}: its shards are not cut as those of {dataset.path}; score it again")


def log_ratios(scored: Dataset, shard: int) -> dict[int, dict[EditKey, float]]:
    """Of one shard: row -> each of its scored edits -> its log-ratio."""
    entry = scored.manifest.shards[shard]
    scored.check_shard(entry)
    found: dict[int, dict[EditKey, float]] = defaultdict(dict)
    start = 0
    for table in row_groups(scored.path / entry.path, _LEAVES):
        provenance, scores = (table.column(name).combine_chunks() for name in ("provenance", "scores"))
        edits = pc.struct_field(provenance, "edits").to_pylist()
        offsets, flat = flat_list(pc.struct_field(scores, "edits"))
        measured = flat.to_pylist()
        for row in (offsets[1:] > offsets[:-1]).nonzero()[0].tolist():
            made = {tuple(edit["raw_steps"]): edit["reasoning_from"] for edit in edits[row] if edit["accepted"]}
            for score in measured[offsets[row] : offsets[row + 1]]:
                steps = tuple(score["raw_steps"])
                found[start + row][EditKey(steps, made.get(steps))] = score["log_ratio"]
        start += len(table)
    return dict(found)
