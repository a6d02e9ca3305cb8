"""`purify export`: a dataset in another tool's format. Each shard becomes one file; what is lost is counted.

    export("purified/", "chat/", ExportConfig(to="messages"))

The output is a folder that `datasets.load_dataset` opens: `data/`, a card, and `export.json`, written last.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count, repeat
from pathlib import Path
from typing import Any

import pyarrow as pa

from purify.datasets import Dataset, Progress
from purify.datasets.dataset import PARTIAL
from purify.datasets.parquet import row_groups
from purify.datasets.sink import sync, write_atomically
from purify.datasets.stage import only_writer, worker_pool
from purify.errors import PurifyError
from purify.exporting.base import Exporter, Surveying, Tally
from purify.exporting.card import export_card
from purify.exporting.config import ExportConfig
from purify.exporting.files import WRITERS, put_in_place, write_empty
from purify.exporting.registry import EXPORTERS
from purify_schemas import Shard, Trajectory, from_table
from purify_schemas.rows import Row

REPORT = "export.json"
SLICE_ROWS = 256
SLICE_BYTES = 16 * 2**20
"""At most so much of a shard is turned into trajectories at a time."""
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
    failed_calls: int
    """Failed calls that are left in records whose turns a trainer takes for good ones (their column `failed_calls`)."""
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
    failed_calls: int
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
        surveyed = exporter.surveyed(dataset) if isinstance(exporter, Surveying) else repeat(exporter)
        paths = [dataset.path / shard.path for shard in dataset.manifest.shards]
        work = partial(_write, config, folder)
        parts = list(_done(work, list(zip(count(), paths, surveyed, strict=False)), workers, progress))
        if dataset.manifest.rows and not any(part.files for part in parts):
            _clear(folder)
            reasons = ", ".join(f"{rows:,} x {reason!r}" for reason, rows in _sum(parts, "skipped").most_common())
            raise PurifyError(f"{dataset.path}: nothing of it can be written as {config.to}: {reasons}")
        return _publish(dataset, config, parts, folder, out)


_Unit = tuple[int, Path, Exporter]
"""A shard: its number, its file, and the exporter that knows what it needs to know of it."""


def _done(
    work: Callable[[_Unit], _Part],
    shards: Sequence[_Unit],
    workers: int,
    progress: Progress | None,
) -> Iterator[_Part]:
    """Work on the shards, in order."""
    if progress:
        progress(total=len(shards))
    several = workers > 1 and len(shards) > 1
    with worker_pool(workers, "run again with fewer --workers") if several else nullcontext() as pool:
        for part in pool.map(work, shards) if pool else map(work, shards):
            if progress:
                progress(units=1, rows=part.rows)
            yield part


def _write(config: ExportConfig, folder: Path, unit: _Unit) -> _Part:
    """One shard, to one file in `folder` (or to one for each trajectory)."""
    number, shard, exporter = unit
    tally, rows = Tally(), 0
    with WRITERS[exporter.layout](folder / f"{number:05d}", exporter.schema) as writer:
        for trajectory in _trajectories(shard):
            tally.row = rows
            rows += 1
            writer.write(exporter.records(trajectory, config, tally))
    for path in writer.files:
        sync(path)
    files = {path.name: records for path, records in writer.files.items()}
    return _Part(
        rows=rows, failed_calls=tally.failed_calls, lost=dict(tally.lost), skipped=dict(tally.skipped), files=files
    )


def _trajectories(shard: Path) -> Iterator[Trajectory]:
    for table in row_groups(shard):
        for piece in slices(table):
            yield from from_table(piece)


def slices(table: pa.Table) -> Iterator[pa.Table]:
    """A few rows at a time: as objects they take many times their bytes."""
    step = max(1, min(SLICE_ROWS, SLICE_BYTES * len(table) // max(1, table.nbytes)))
    for start in range(0, len(table), step):
        yield table.slice(start, step)


def _claim(out: Path, *, overwrite: bool) -> Path:
    """An empty `.partial/` in `out`, which holds nothing but an earlier export.

    `.partial/` itself is never taken away before the report stands: it tells a half-published export from a stranger's
    directory.
    """
    entries, folder = {path.name for path in out.iterdir()}, out / PARTIAL
    if strangers := sorted(entries - OURS if entries & {REPORT, PARTIAL} else entries):
        raise PurifyError(f"{out}: holds {strangers[0]!r}, which is not of an export; choose an empty or new directory")
    if REPORT in entries and not overwrite:
        raise PurifyError(f"{out}: already holds an export; choose another directory, or add --overwrite")
    folder.mkdir(exist_ok=True)
    _clear(folder)
    return folder


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        entry.unlink()


def _publish(dataset: Dataset, config: ExportConfig, parts: Sequence[_Part], folder: Path, out: Path) -> ExportReport:
    """Give the files their final names, then write the card, and the report last."""
    exporter = EXPORTERS[config.to]
    (out / REPORT).unlink(missing_ok=True)
    written = [(folder / name, records) for part in parts for name, records in part.files.items()]
    if not written and exporter.schema is not None:
        empty = folder / "00000.parquet"
        write_empty(empty, exporter.schema)
        written = [(empty, 0)]
    files = put_in_place(written, out)
    lost = _sum(parts, "lost")
    report = ExportReport(
        format=exporter.name,
        config=config.model_dump(mode="json"),
        source_digest=dataset.manifest.digest,
        rows=sum(part.rows for part in parts),
        records=sum(file.rows for file in files),
        failed_calls=sum(part.failed_calls for part in parts),
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
