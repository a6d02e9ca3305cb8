"""The files that exports are written to: Parquet, JSON lines, or a file of JSON lines for each record.

Records are written as they come: one trajectory may give many, and each may be large.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from purify.datasets.parquet import WRITER_OPTIONS, shard_names
from purify.datasets.sink import sync
from purify.digests import file_sha256
from purify.exporting.base import Layout, RowData, json_leaf, to_arrow
from purify_schemas import Shard

BATCH_RECORDS = 256
BATCH_BYTES = 16 * 2**20
"""A row group of Parquet has at most so many records, and, but for its last one, so many bytes."""
FOLDER_FILES = 9_000
"""The Hub takes fewer than 10,000 entries in a folder. (huggingface.co/docs/hub/repositories-recommendations)"""


def data_names(count: int, folder_files: int = FOLDER_FILES) -> list[str]:
    """The final names of so many files, in order and without their suffix: in folders where one would hold too many."""
    names = shard_names(count)
    if count <= folder_files:
        return [f"data/{name}" for name in names]
    return [f"data/{number // folder_files:05d}/{name}" for number, name in enumerate(names)]


def put_in_place(written: Sequence[tuple[Path, int]], out: Path, folder_files: int = FOLDER_FILES) -> list[Shard]:
    """Give files, each with how many records it holds, their final names below `out`; what stood there goes."""
    if (data := out / "data").exists():
        shutil.rmtree(data)
    data.mkdir()
    files = []
    for name, (path, records) in zip(data_names(len(written), folder_files), written, strict=True):
        final = out / f"{name}{path.suffix}"
        final.parent.mkdir(exist_ok=True)
        path.replace(final)
        place = final.relative_to(out).as_posix()
        files.append(Shard(path=place, rows=records, bytes=final.stat().st_size, sha256=file_sha256(final)))
    for folder in {data, *((out / file.path).parent for file in files)}:
        sync(folder)
    return files


class Writer(Protocol):
    """Takes the records of one shard; a context manager."""

    files: dict[Path, int]
    """Records in each file. A file without records is not left behind."""

    def write(self, records: Iterable[RowData]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


class ParquetWriter:
    """One Parquet file; each batch is a row group."""

    def __init__(self, stem: Path, schema: pa.Schema | None) -> None:
        assert schema is not None, "an exporter of layout parquet has a schema"
        self.files: dict[Path, int] = {}
        self._path, self._schema, self._records = stem.with_suffix(".parquet"), schema, 0
        self._batch: list[RowData] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(self._path, schema, **WRITER_OPTIONS)

    def write(self, records: Iterable[RowData]) -> None:
        for record in records:
            self._batch.append(record)
            self._bytes += _weight(record)
            if len(self._batch) >= BATCH_RECORDS or self._bytes >= BATCH_BYTES:
                self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._writer.write_table(to_arrow(self._batch, self._schema))
            self._records += len(self._batch)
        self._batch, self._bytes = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            self._flush()
        self._writer.close()
        self.files = _kept(self._path, self._records)


def write_empty(path: Path, schema: pa.Schema) -> None:
    """A Parquet file without records, nor a row group: readers find the columns in it.

    `load_dataset` streams it; otherwise it knows no split without rows, whatever the files.
    """
    pq.ParquetWriter(path, schema, **WRITER_OPTIONS).close()


def _weight(value: object) -> int:
    """About how many bytes a record takes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_weight, value.values()))
    if isinstance(value, list):
        return sum(map(_weight, value)) if value and isinstance(value[0], str | dict | list) else 8 * len(value)
    return 8


class LinesWriter:
    """One file, a record a line."""

    def __init__(self, stem: Path, schema: pa.Schema | None) -> None:
        self.files: dict[Path, int] = {}
        self._path, self._records = stem.with_suffix(".jsonl"), 0
        self._file = self._path.open("wb")

    def write(self, records: Iterable[RowData]) -> None:
        for record in records:
            self._file.write(_line(record))
            self._records += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self.files = _kept(self._path, self._records)


class SessionsWriter:
    """A file for each record, whose only member `lines` are its lines."""

    def __init__(self, stem: Path, schema: pa.Schema | None) -> None:
        self.files: dict[Path, int] = {}
        self._stem = stem

    def write(self, records: Iterable[RowData]) -> None:
        for record in records:
            path = self._stem.with_name(f"{self._stem.name}-{len(self.files):06d}.jsonl")
            path.write_bytes(b"".join(map(_line, record["lines"])))
            self.files[path] = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _line(record: RowData) -> bytes:
    return json_leaf(record).encode() + b"\n"


def _kept(path: Path, records: int) -> dict[Path, int]:
    if records:
        return {path: records}
    path.unlink()
    return {}


WRITERS: Mapping[Layout, Callable[[Path, pa.Schema | None], Writer]] = {
    "parquet": ParquetWriter,
    "lines": LinesWriter,
    "sessions": SessionsWriter,
}
