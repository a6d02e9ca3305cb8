"""How shards are written. One place, so that copies, stages and benchmarks use the same codec, level and threads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from purify.errors import PurifyError
from purify_schemas import SCHEMA_VERSION, SCHEMAS
from purify_schemas.arrow import VERSION_KEY

ROW_GROUP_BYTES = 128 * 2**20
"""Uncompressed Arrow bytes a row group may hold: what a worker has in memory at a time."""

WRITER_OPTIONS: dict[str, Any] = {"compression": "zstd", "compression_level": 3, "store_schema": True}


def shard_names(count: int) -> list[str]:
    """`train-00000-of-00002` and so on, without a suffix.

    All numbers are as wide as the count, so that names sort in this order. `load_dataset` needs that, too: it takes
    files with five digits for all there are, and passes over wider ones beside them.
    """
    width = max(5, len(str(count)))
    return [f"train-{number:0{width}d}-of-{count:0{width}d}" for number in range(count)]


def library_versions() -> dict[str, str]:
    """The libraries that decide the bytes of a shard."""
    from importlib.metadata import version

    return {
        "python": ".".join(map(str, sys.version_info[:2])),
        "pyarrow": pa.__version__,
        "purify-trajectories": version("purify-trajectories"),
    }


@contextmanager
def open_shard(path: Path) -> Iterator[pq.ParquetFile]:
    """A shard of ours, checked. Raises `PurifyError` if it is damaged or of a schema this version cannot read."""
    try:
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            _check_schema(file.schema_arrow, path)
            yield file
    except (pa.ArrowException, OSError) as error:
        first = str(error).split("\n", 1)[0]
        raise PurifyError(f"{path}: not a readable Parquet shard ({first}); restore it from a copy") from None


def row_groups(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Read a shard one row group at a time, so that memory does not grow with the file."""
    with open_shard(path) as file:
        for index in range(file.num_row_groups):
            yield file.read_row_group(index, columns=columns)


def _check_schema(schema: pa.Schema, path: Path) -> None:
    """Refuse a shard that is not ours or of another schema version, saying which."""
    version = (schema.metadata or {}).get(VERSION_KEY)
    if version is None:
        raise PurifyError(f"{path}: not written by purify; turn the file into a dataset with `purify import`")
    if version != str(SCHEMA_VERSION).encode():
        raise PurifyError(
            f"{path}: schema version {version.decode(errors='replace')}, this purify reads version {SCHEMA_VERSION}; "
            "use the purify version that wrote it, or import the source again"
        )
    if not any(schema.equals(known) for known in SCHEMAS):
        raise PurifyError(f"{path}: its columns are not those of schema version {SCHEMA_VERSION}; import it again")


def without_padding(value: Any) -> Any:
    """Drop null keys: Parquet gives every struct all keys of its column, which breaks tool schemas and arguments."""
    if isinstance(value, dict):
        return {key: without_padding(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_padding(item) for item in value]
    return value
