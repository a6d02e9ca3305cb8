"""Write a publishable copy of a dataset: built beside the folder and renamed, so it is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from purify.datasets import Dataset, ShardSink
from purify.datasets.dataset import MANIFEST
from purify.datasets.parquet import row_groups
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.publishing.report import Audit
from purify_schemas import Shard

SUMS = "SHA256SUMS"
DROPPED = ".dropped.jsonl"
"""Rows that were left out are kept in a file beside the folder, of its name and this."""


@contextmanager
def new_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write into, which becomes `out` in the end. What stood there is removed only then.

    Raises `PurifyError` if `out` holds anything but a published copy that may be overwritten.
    """
    if out.is_file():
        raise PurifyError(f"{out}: is a file; name a directory")
    if out.exists() and any(out.iterdir()):
        _refuse_strangers(out)
        if not overwrite:
            raise PurifyError(
                f"{out}: holds a published copy of another dataset; choose another directory, or add --overwrite"
            )
    building = out.with_name(f".{out.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    (building / "data").mkdir(parents=True)
    yield building
    (building / SUMS).write_bytes(_sums(building))
    if out.exists():
        shutil.rmtree(out)
    building.rename(out)


def _refuse_strangers(out: Path) -> None:
    if not (out / SUMS).is_file():
        raise PurifyError(f"{out}: holds something else than a published copy; choose an empty or new directory")
    listed = {line.split("  ", 1)[1] for line in (out / SUMS).read_text().splitlines()} | {SUMS}
    for path in sorted(out.rglob("*")):
        if path.is_file() and path.relative_to(out).as_posix() not in listed:
            raise PurifyError(f"{path}: is no part of the published copy; move it away")


def changed_file(folder: Path) -> str | None:
    """The first file that is missing or no longer what `SHA256SUMS` says; null if all are."""
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not (folder / name).is_file() or file_sha256(folder / name) != digest:
            return name
    return None


def place_shards(dataset: Dataset, folder: Path) -> list[Shard]:
    """The shards as they are: hard links where the file system allows, copies elsewhere."""
    for shard in dataset.manifest.shards:
        source, target = dataset.path / shard.path, folder / shard.path
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    return list(dataset.manifest.shards)


def rewrite_shards(dataset: Dataset, folder: Path, schema: pa.Schema, without: set[int]) -> list[Shard]:
    """The shards without the rows of these numbers. A shard without any row left is no shard, unless it is the last."""
    scratch = folder / ".scratch"
    scratch.mkdir()
    written: list[tuple[Path, int]] = []
    first = 0
    for index, shard in enumerate(dataset.manifest.shards):
        with ShardSink(scratch, index, schema, identity="publish") as sink:
            for table in row_groups(dataset.path / shard.path):
                kept = np.array([row not in without for row in range(first, first + len(table))], dtype=bool)
                if kept.any():
                    sink.write_group(table.filter(pa.array(kept)), records=int(kept.sum()))
                first += len(table)
        if sink.rows or (index + 1 == len(dataset.manifest.shards) and not written):
            written.append((scratch / f"{index:05d}.parquet", sink.rows))
    shards = []
    for number, (path, rows) in enumerate(written):
        name = f"data/train-{number:05d}-of-{len(written):05d}.parquet"
        path.rename(folder / name)
        size = (folder / name).stat().st_size
        shards.append(Shard(path=name, rows=rows, bytes=size, sha256=file_sha256(folder / name)))
    shutil.rmtree(scratch)
    return shards


def keep_dropped(dataset: Dataset, audit: Audit, out: Path) -> None:
    """Write the rows that were left out, whole and with the reason."""
    from purify.reporting import read_rows

    reasons = {hit.row: hit for hit in audit.contaminated}
    with out.with_name(f"{out.name}{DROPPED}").open("wb") as file:
        for number, trajectory in read_rows(dataset, sorted(reasons)):
            entry: dict[str, Any] = {"reason": "contaminated", **reasons[number].model_dump()}
            file.write(orjson.dumps(entry | {"record": trajectory.model_dump(mode="json")}) + b"\n")


def _sums(folder: Path) -> bytes:
    """As `sha256sum` writes them (GNU coreutils): `sha256sum -c SHA256SUMS` checks all but itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files).encode()


def is_copy(folder: Path) -> bool:
    """Whether a published copy stands there, finished."""
    return (folder / SUMS).is_file() and (folder / MANIFEST).is_file()
