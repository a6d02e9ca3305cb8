"""Publish a finished stage: final names, rejected records, dataset card, and the manifest last."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pyarrow.parquet as pq

from purify.datasets.card import dataset_card
from purify.datasets.dataset import MANIFEST, PARTIAL
from purify.datasets.parquet import WRITER_OPTIONS, library_versions, shard_names
from purify.datasets.sink import ShardResult, sync, write_atomically
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify_schemas import SCHEMA_VERSION, Ancestor, Manifest, Shard, dataset_digest

if TYPE_CHECKING:
    from purify.datasets.stage import Stage


def finish(stage: Stage, results: Sequence[ShardResult], out: Path) -> Manifest:
    """Move the shards out of `.partial/` and write `manifest.json`. Safe to repeat after a crash at any point."""
    rows = sum(result.rows for result in results)
    rejected = sum(sum(result.rejected.values()) for result in results)
    records = sum(result.records for result in results)
    if stage.parent is not None and stage.parent.manifest.rows != rows:
        raise PurifyError(
            f"{out}: {stage.parent.manifest.rows} rows went in but {rows} came out; the output is kept in {PARTIAL}"
        )
    if records and not rows and stage.parent is None:
        (out / PARTIAL / "identity").unlink()  # there is nothing to resume; the rejected records stay to be read
        raise PurifyError(f"{out}: none of {records:,} records could be read; {_first_reason(out / PARTIAL)}")
    folder = out / PARTIAL
    _clear_old(out, folder)
    shards = _place_shards(stage, results, out, folder)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        kind=stage.kind,
        scored="scores" in stage.schema.names,
        stage=stage.name,
        config=stage.config,
        config_digest=stage.config_digest,
        rows=rows,
        rejected=rejected,
        records_in=records,
        counts=dict(sorted(_totals(results).items())),
        shards=shards,
        rejected_files=_place_rejected(results, out, folder),
        digest=dataset_digest(shards),
        lineage=_lineage(stage),
        versions=library_versions(),
    )
    write_atomically(out / "README.md", dataset_card(manifest).encode(), scratch=folder)
    write_atomically(out / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n", scratch=folder)
    # Without its identity the folder is no run that --resume could take up, however far the removal gets.
    (folder / "identity").unlink()
    shutil.rmtree(folder)
    return manifest


def _first_reason(folder: Path) -> str:
    """The commonest reason of the first rejected records, and where all of them stand."""
    reasons: Counter[str] = Counter()
    for path in sorted(folder.glob("*.rejected.jsonl")):
        with path.open("rb") as lines:
            reasons.update(orjson.loads(line)["reason"] for line in islice(lines, 1000))
    reason, count = reasons.most_common(1)[0]
    return f"{count:,} x {reason!r} (all in {folder}/*.rejected.jsonl)"


def _clear_old(out: Path, folder: Path) -> None:
    """Remove the dataset that is being overwritten: only now that its successor is complete, manifest first."""
    begun, listed = folder / "publishing", folder / "old.json"
    if begun.exists():
        return
    if (out / MANIFEST).is_file():
        # Only what the old manifest names is ours to remove.
        old = Manifest.model_validate_json((out / MANIFEST).read_bytes())
        write_atomically(listed, orjson.dumps([file.path for file in (*old.shards, *old.rejected_files)]))
        (out / MANIFEST).unlink()
    for path in orjson.loads(listed.read_bytes()) if listed.exists() else ():
        (out / path).unlink(missing_ok=True)
    write_atomically(begun, b"")


def _place_shards(stage: Stage, results: Sequence[ShardResult], out: Path, folder: Path) -> list[Shard]:
    (out / "data").mkdir(exist_ok=True)
    kept = [(index, result) for index, result in enumerate(results) if result.rows]
    shards = []
    for stem, (index, result) in zip(shard_names(len(kept)), kept, strict=True):
        name = f"data/{stem}.parquet"
        written = folder / f"{index:05d}.parquet"
        if written.exists():
            written.replace(out / name)
        elif not (out / name).exists():
            raise PurifyError(f"{written}: a finished shard has vanished; start again with --overwrite")
        shards.append(Shard(path=name, rows=result.rows, bytes=result.bytes, sha256=result.sha256))
    if not kept:
        # An empty dataset still opens everywhere: one shard without rows carries the schema.
        path = out / "data/train-00000-of-00001.parquet"
        with pq.ParquetWriter(path, stage.schema, **WRITER_OPTIONS):
            pass
        shards.append(_describe(path, out, rows=0))
    sync(out / "data")
    return shards


def _place_rejected(results: Sequence[ShardResult], out: Path, folder: Path) -> list[Shard]:
    total = sum(sum(result.rejected.values()) for result in results)
    if not total:
        return []
    (out / "rejected").mkdir(exist_ok=True)
    path = out / "rejected/rejected.jsonl"
    with path.open("wb") as target:
        for index in range(len(results)):
            with (folder / f"{index:05d}.rejected.jsonl").open("rb") as part:
                shutil.copyfileobj(part, target)
    sync(path)
    return [_describe(path, out, rows=total)]


def _describe(path: Path, out: Path, rows: int) -> Shard:
    return Shard(path=path.relative_to(out).as_posix(), rows=rows, bytes=path.stat().st_size, sha256=file_sha256(path))


def _totals(results: Sequence[ShardResult]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for result in results:
        totals.update(result.counts)
    return totals


def _lineage(stage: Stage) -> list[Ancestor]:
    if stage.parent is None:
        return []
    parent = stage.parent.manifest
    me = Ancestor(digest=parent.digest, stage=parent.stage, config_digest=parent.config_digest, rows=parent.rows)
    return [*parent.lineage, me]
