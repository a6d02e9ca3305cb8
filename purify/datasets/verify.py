"""Recompute everything a dataset claims: digests, counts, schema, rows, lineage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel, ValidationError

from purify.datasets.dataset import Dataset
from purify.datasets.parquet import row_groups
from purify.digests import file_sha256
from purify.errors import PurifyError, first_problem
from purify_schemas import Shard, Trajectory, dataset_digest

REPEATED = "occurs twice"
"""What a finding says of a trajectory_id that another row has."""


class VerifyReport(BaseModel):
    """What was looked at and what is wrong with it (empty: nothing)."""

    dataset: str
    digest: str
    rows: int
    shards: int
    findings: list[str]


def verify(source: str | Path, parent: str | Path | None = None) -> VerifyReport:
    """Check a dataset against its manifest, and against its parent where that is given.

    Raises `PurifyError` if `source` is no dataset at all; damage is a finding, not an error.
    """
    dataset = Dataset.open(source)
    manifest = dataset.manifest
    findings = list(_bytes(dataset, [*manifest.shards, *manifest.rejected_files]))
    rows, ids = 0, set[str]()
    for shard in manifest.shards:
        counted, problems = _rows(dataset, shard, ids)
        rows += counted
        findings += problems
    if rows != manifest.rows:
        findings.append(f"manifest.json: says {manifest.rows} rows, the shards hold {rows}")
    if dataset_digest(manifest.shards) != manifest.digest:
        findings.append("manifest.json: its digest is not that of its shards")
    findings += _strangers(dataset)
    findings += _lineage(dataset, parent)
    return VerifyReport(
        dataset=str(source), digest=manifest.digest, rows=rows, shards=len(manifest.shards), findings=findings
    )


def _bytes(dataset: Dataset, files: list[Shard]) -> Iterator[str]:
    for entry in files:
        path = dataset.path / entry.path
        if not path.is_file():
            yield f"{entry.path}: missing"
        elif file_sha256(path) != entry.sha256:
            yield f"{entry.path}: sha256 differs from the manifest's"


def _rows(dataset: Dataset, shard: Shard, ids: set[str]) -> tuple[int, list[str]]:
    findings: list[str] = []
    count = 0
    try:
        for table in row_groups(dataset.path / shard.path):
            for row in table.to_pylist():
                findings += (f"{shard.path} row {count}: {problem}" for problem in _row(dataset, row, ids))
                count += 1
    except (PurifyError, pa.ArrowException) as error:
        return count, [*findings, str(error)]
    except UnicodeDecodeError:
        return count, [*findings, f"{shard.path} row {count} or later: holds text that is not UTF-8"]
    if count != shard.rows:
        findings.append(f"{shard.path}: says {shard.rows} rows, holds {count}")
    return count, findings


def _row(dataset: Dataset, row: dict[str, object], ids: set[str]) -> Iterator[str]:
    try:
        trajectory = Trajectory.model_validate(row)
    except ValidationError as error:
        yield first_problem(error)
        return
    if trajectory.trajectory_id in ids:
        sample = f"task {trajectory.task_id!r}, sample {trajectory.sample_index}"
        yield f"trajectory_id {trajectory.trajectory_id} {REPEATED} ({sample} is in the source twice)"
    ids.add(trajectory.trajectory_id)
    provenance = trajectory.provenance
    if dataset.purified and provenance is None:
        yield "purified, but without provenance"
    if provenance is not None and not provenance.online:
        lineage = dataset.manifest.lineage
        if provenance.parent_digest not in {ancestor.digest for ancestor in lineage}:
            yield "its provenance names a parent dataset that is not in the manifest's lineage"


def _strangers(dataset: Dataset) -> Iterator[str]:
    named = {shard.path for shard in dataset.manifest.shards}
    for path in sorted((dataset.path / "data").glob("*")):
        relative = path.relative_to(dataset.path).as_posix()
        if relative not in named:
            yield f"{relative}: not in the manifest, but readers of data/*.parquet would see it"


def _lineage(dataset: Dataset, parent: str | Path | None) -> Iterator[str]:
    manifest = dataset.manifest
    if manifest.rejected != sum(file.rows for file in manifest.rejected_files):
        yield "manifest.json: its rejected records are not those of rejected/"
    if parent is None:
        return
    above = Dataset.open(parent).manifest
    if not manifest.lineage:
        yield "manifest.json: names no parent"
    elif manifest.lineage[-1].digest != above.digest:
        yield f"lineage: made from {manifest.lineage[-1].digest}, but {parent} is {above.digest}"
    elif above.rows != manifest.rows + (dropped := manifest.counts.get("rows_dropped_contaminated", 0)):
        left_out = f" and left out {dropped}" if dropped else ""
        yield f"lineage: {parent} has {above.rows} rows, this has {manifest.rows}{left_out}"
