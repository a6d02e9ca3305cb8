"""The files that exports are written to: Parquet, JSON lines, or a file of JSON lines for each record.

Records are written as they come: one trajectory may give many, and each may be large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from purify.datasets.parquet import WRITER_OPTIONS
from purify.exporting.base import Layout, RowData, json_leaf, to_arrow

BATCH_RECORDS = 256
BATCH_BYTES = 16 * 2**20
"""A row group of Parquet has at most so many records, and, but for its last one, so many bytes."""


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
