"""`purify export`: a dataset in another tool's format. Each shard becomes one file; what is lost is counted.

    export("purified/", "chat/", ExportConfig(to="messages"))

The output is a folder that `datasets.load_dataset` opens: `data/`, a card, and `export.json`, written last.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from purify.datasets import Dataset, Progress
from purify.datasets.dataset import PARTIAL
from purify.datasets.parquet import row_groups
from purify.datasets.sink import sync, write_atomically
from purify.datasets.stage import only_writer
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.exporting.base import Exporter, RowData, Surveying, Tally
from purify.exporting.card import export_card
from purify.exporting.config import ExportConfig
from purify.exporting.files import WRITERS
from purify.exporting.registry import EXPORTERS
from purify_schemas import Shard, from_table
from purify_schemas.rows import Row

REPORT = "export.json"
BATCH_ROWS = 256
OURS = frozenset({REPORT, PARTIAL, "README.md", "data"})


class ExportReport(Row):
    """`export.json`: what was written, from what, and what the format could not hold."""

    format: str
    config: dict[str, Any]
    source_digest: str
    """Digest of the dataset's data."""
    rows: int
    """Trajectories read."""
    records: int
    """Records written."""
    lost: dict[str, int]
    """Trajectories that lost something, by the name of the loss."""
    losses: dict[str, str]
    """What each of these losses is, in words."""
    skipped: dict[str, int]
    """Trajectories without a record, by reason."""
    files: list[Shard]


class _Part(Row):
    """What came of one shard."""

    rows: int
    lost: dict[str, int]
    skipped: dict[str, int]
    files: dict[str, int]
    """Records in each file that was written."""


def export(
    source: str | Path,
    out: str | Path,
    config: ExportConfig,
    *,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a dataset as `config.to` says. The bytes do not depend on `workers`.

    Raises `PurifyError` if the source is no dataset, `out` is taken or lies inside the source, or nothing in it can be
    written so.
    """
    dataset, out = Dataset.open(source), Path(out)
    if out.resolve().is_relative_to(dataset.path.resolve()):
        raise PurifyError(f"{out}: is the dataset, or lies inside it; choose another place")
    with only_writer(out):
        folder = _claim(out, overwrite=overwrite)
        exporter = EXPORTERS[config.to]
        if isinstance(exporter, Surveying):
            exporter = exporter.surveyed(dataset)
        work = partial(_write, exporter, config, folder)
        shards = [(number, dataset.path / shard.path) for number, shard in enumerate(dataset.manifest.shards)]
        parts = list(_done(work, shards, workers, progress))
        if dataset.manifest.rows and not any(part.files for part in parts):
            shutil.rmtree(folder)
            reasons = ", ".join(f"{count:,} x {reason!r}" for reason, count in _sum(parts, "skipped").most_common())
            raise PurifyError(f"{dataset.path}: nothing of it can be written as {config.to}: {reasons}")
        return _publish(dataset, config, parts, folder, out)


def _done(
    work: Callable[[tuple[int, Path]], _Part],
    shards: Sequence[tuple[int, Path]],
    workers: int,
    progress: Progress | None,
) -> Iterator[_Part]:
    """Work on the shards, in order."""
    if progress:
        progress(total=len(shards))
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 and len(shards) > 1 else None
    try:
        for part in pool.map(work, shards) if pool else map(work, shards):
            if progress:
                progress(units=1, rows=part.rows)
            yield part
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _write(exporter: Exporter, config: ExportConfig, folder: Path, numbered: tuple[int, Path]) -> _Part:
    """One shard, to one file in `folder` (or to one for each trajectory)."""
    number, shard = numbered
    tally, rows = Tally(), 0
    with WRITERS[exporter.layout](folder / f"{number:05d}", exporter.schema) as writer:
        for table in row_groups(shard):
            for start in range(0, len(table), BATCH_ROWS):
                records: list[RowData] = []
                for trajectory in from_table(table.slice(start, BATCH_ROWS)):
                    tally.place = number, rows
                    rows += 1
                    records += exporter.records(trajectory, config, tally)
                writer.write(records)
    for path in writer.files:
        sync(path)
    files = {path.name: count for path, count in writer.files.items()}
    return _Part(rows=rows, lost=dict(tally.lost), skipped=dict(tally.skipped), files=files)


def _claim(out: Path, *, overwrite: bool) -> Path:
    """An empty `.partial/` in `out`, which holds nothing but an earlier export."""
    entries = {path.name for path in out.iterdir()}
    if strangers := sorted(entries - OURS if REPORT in entries else entries - {PARTIAL}):
        raise PurifyError(f"{out}: holds {strangers[0]!r}, which is not of an export; choose an empty or new directory")
    if REPORT in entries and not overwrite:
        raise PurifyError(f"{out}: already holds an export; choose another directory, or add --overwrite")
    folder = out / PARTIAL
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def _publish(dataset: Dataset, config: ExportConfig, parts: Sequence[_Part], folder: Path, out: Path) -> ExportReport:
    """Give the files their final names, then write the card, and the report last."""
    exporter = EXPORTERS[config.to]
    (out / REPORT).unlink(missing_ok=True)
    if (out / "data").exists():
        shutil.rmtree(out / "data")
    (out / "data").mkdir()
    written = [(folder / name, count) for part in parts for name, count in part.files.items()]
    files = []
    for number, (path, records) in enumerate(written):
        name = f"data/train-{number:05d}-of-{len(written):05d}{path.suffix}"
        path.replace(out / name)
        size, digest = (out / name).stat().st_size, file_sha256(out / name)
        files.append(Shard(path=name, rows=records, bytes=size, sha256=digest))
    sync(out / "data")
    lost = _sum(parts, "lost")
    report = ExportReport(
        format=exporter.name,
        config=config.model_dump(mode="json"),
        source_digest=dataset.manifest.digest,
        rows=sum(part.rows for part in parts),
        records=sum(file.rows for file in files),
        lost=dict(sorted(lost.items())),
        losses={name: exporter.losses[name] for name in sorted(lost)},
        skipped=dict(_sum(parts, "skipped").most_common()),
        files=files,
    )
    write_atomically(out / "README.md", export_card(report, exporter).encode(), scratch=folder)
    write_atomically(out / REPORT, report.model_dump_json(indent=2).encode() + b"\n", scratch=folder)
    shutil.rmtree(folder)
    return report


def _sum(parts: Sequence[_Part], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(getattr(part, name))
    return total
