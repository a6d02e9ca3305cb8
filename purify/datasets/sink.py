"""Where a worker puts one shard: rows, rejected records and counters, published atomically by a completion marker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from purify.datasets.parquet import ROW_GROUP_BYTES, WRITER_OPTIONS
from purify.digests import file_sha256
from purify_schemas.rows import Row


class ShardResult(Row):
    """The completion marker of a shard: what was read, written and rejected, under which stage identity."""

    identity: str
    records: int
    rows: int
    bytes: int
    sha256: str
    rejected: dict[str, int]
    counts: dict[str, int]


class ShardSink:
    """Writes one shard under `.partial/`; on a clean exit syncs it and leaves the marker, else leaves no marker."""

    def __init__(
        self, folder: Path, index: int, schema: pa.Schema, identity: str, on_rows: Callable[[int], None] | None = None
    ) -> None:
        self._stem = folder / f"{index:05d}"
        self._identity = identity
        self._on_rows = on_rows
        self._schema = schema
        self._file = self._stem.with_suffix(".parquet")
        self._writer = pq.ParquetWriter(self._file, schema, **WRITER_OPTIONS)
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._rejected: dict[str, int] = {}
        self._rejects = self._stem.with_suffix(".rejected.jsonl").open("wb")
        self.counts: Counter[str] = Counter()
        self.records = 0
        self.rows = 0

    def write_group(self, table: pa.Table, *, records: int) -> None:
        """Write exactly one row group. `records` is how many input records it accounts for."""
        self._write(table)
        self.records += records
        self._count_rows(len(table))

    def append(self, table: pa.Table, *, records: int) -> None:
        """Collect rows into row groups of at most `ROW_GROUP_BYTES` (one batch may overshoot)."""
        self._pending.append(table)
        self._pending_bytes += table.nbytes
        self.records += records
        self._count_rows(len(table))
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def reject(self, *, file: str, row: int, reason: str, raw: bytes | None) -> None:
        """Keep a record that could not be read, whole where it is text, with where it stood and why."""
        self.records += 1
        self._rejected[file] = self._rejected.get(file, 0) + 1
        text = None if raw is None else raw.decode("utf-8", errors="backslashreplace")
        self._rejects.write(orjson.dumps({"file": file, "row": row, "reason": reason, "record": text}) + b"\n")

    def _flush(self) -> None:
        if self._pending:
            table = pa.concat_tables(self._pending)
            self._pending, self._pending_bytes = [], 0
            self._write(table)

    def _write(self, table: pa.Table) -> None:
        # One chunk a column: where pages break depends on the chunks, and equal rows must give equal bytes.
        # (combine_chunks copies a column that has one already.)
        if any(column.num_chunks != 1 for column in table.columns):
            table = table.combine_chunks()
        self._writer.write_table(table, row_group_size=max(len(table), 1))

    def _count_rows(self, rows: int) -> None:
        self.rows += rows
        if self._on_rows:
            self._on_rows(rows)

    def __enter__(self) -> ShardSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._rejects.close()
            try:
                self._writer.close()
            except OSError:
                self._writer.is_open = False  # or it would try, and complain, again when it is collected
                raise
        if kind is None:
            self._publish()

    def _publish(self) -> None:
        for path in (self._file, self._stem.with_suffix(".rejected.jsonl")):
            sync(path)
        result = ShardResult(
            identity=self._identity,
            records=self.records,
            rows=self.rows,
            bytes=self._file.stat().st_size,
            sha256=file_sha256(self._file),
            rejected=self._rejected,
            counts=dict(self.counts),
        )
        write_atomically(self._stem.with_suffix(".done"), result.model_dump_json().encode())


def sync(path: Path) -> None:
    """Make a file's (or folder's) bytes survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, payload: bytes, scratch: Path | None = None) -> None:
    """Write a file so that it is there whole or not at all. The half-written one lies in `scratch`, if given."""
    temporary = (scratch or path.parent) / f"{path.name}.tmp"
    temporary.write_bytes(payload)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
