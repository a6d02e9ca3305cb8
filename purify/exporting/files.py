"""The files that exports are written to: Parquet, JSON lines, or a file of JSON lines for each record."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from purify.datasets.parquet import WRITER_OPTIONS
from purify.exporting.base import Layout, RowData, to_arrow


class Writer(Protocol):
    """Takes the records of one shard, batch by batch; a context manager."""

    files: dict[Path, int]
    """Records in each file. A file without records is not left behind."""

    def write(self, records: Sequence[RowData]) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


class ParquetWriter:
    """One Parquet file; each batch is a row group."""

    def __init__(self, stem: Path, schema: pa.Schema | None) -> None:
        assert schema is not None, "an exporter of layout parquet has a schema"
        self.files: dict[Path, int] = {}
        self._path, self._schema, self._records = stem.with_suffix(".parquet"), schema, 0
        self._writer = pq.ParquetWriter(self._path, schema, **WRITER_OPTIONS)

    def write(self, records: Sequence[RowData]) -> None:
        if records:
            self._writer.write_table(to_arrow(records, self._schema))
            self._records += len(records)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()
        self.files = _kept(self._path, self._records)


class LinesWriter:
    """One file, a record a line."""

    def __init__(self, stem: Path, schema: pa.Schema | None) -> None:
        self.files: dict[Path, int] = {}
        self._path, self._records = stem.with_suffix(".jsonl"), 0
        self._file = self._path.open("wb")

    def write(self, records: Sequence[RowData]) -> None:
        self._file.writelines(map(_line, records))
        self._records += len(records)

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

    def write(self, records: Sequence[RowData]) -> None:
        for record in records:
            path = self._stem.with_name(f"{self._stem.name}-{len(self.files):06d}.jsonl")
            path.write_bytes(b"".join(map(_line, record["lines"])))
            self.files[path] = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def _line(record: RowData) -> bytes:
    try:
        return orjson.dumps(record) + b"\n"
    except TypeError:  # integers past 64 bits; and half surrogate pairs, which become question marks
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace") + b"\n"


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
