"""`purify restore`: undo a purified dataset. Equal rows in equal order, and the raw dataset's very bytes.

purify restore purified/ -o raw-again/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.datasets.parquet import row_groups
from purify.digests import digest
from purify.errors import PurifyError
from purify.saar.apply import undo_edits
from purify_schemas import RAW_SCHEMA, Shard


@dataclass(frozen=True)
class _Undo:
    dataset: Dataset

    def __call__(self, shard: Shard, sink: ShardSink) -> None:
        self.dataset.check_shard(shard)
        for table in row_groups(self.dataset.path / shard.path):
            _refuse_online(table, self.dataset.path / shard.path)
            if self.dataset.scored:
                _refuse_rendered(table, self.dataset.path / shard.path)
            sink.write_group(undo_edits(table), records=len(table))


def restore(
    source: str | Path,
    out: str | Path,
    *,
    mode: WriteMode = "new",
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Give back the raw dataset that `clean` read. Scores are dropped.

    Raises `PurifyError` if `source` is not purified, is damaged, holds rows that were edited while generating, or rows
    whose token ids `score` made.
    """
    dataset = Dataset.open(source)
    if not dataset.purified:
        raise PurifyError(f"{source}: is not a purified dataset, there is nothing to restore")
    stage = Stage(
        name="restore",
        kind="raw",
        schema=RAW_SCHEMA,
        config={},
        config_digest=digest("restore"),
        inputs=[shard.sha256 for shard in dataset.manifest.shards],
        parent=dataset,
    )
    run_stage(stage, dataset.manifest.shards, _Undo(dataset), Path(out), mode=mode, workers=workers, progress=progress)
    return Dataset.open(out)


def _refuse_online(table: pa.Table, path: Path) -> None:
    online = pc.struct_field(table.column("provenance"), "online")
    if pc.any(online).as_py():
        raise PurifyError(
            f"{path}: holds trajectories that were edited while they were generated; no raw rollout ever existed, "
            "so there is nothing to give back"
        )


def _refuse_rendered(table: pa.Table, path: Path) -> None:
    rendered = pc.struct_field(table.column("scores"), "rendered")
    if pc.any(rendered).as_py():
        raise PurifyError(
            f"{path}: holds trajectories whose token ids were made by `purify score`, which the raw ones never had; "
            "restore the purified dataset that was scored"
        )
