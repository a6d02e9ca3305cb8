"""Write a publishable copy of a dataset: built beside the folder and renamed, so it is there whole or not at all."""

from __future__ import annotations

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
from purify.datasets.parquet import row_groups, shard_names
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.publishing.report import Audit
from purify_schemas import Shard

SUMS = "SHA256SUMS"
DROPPED = ".dropped.jsonl"
"""Rows that were left out are kept in a file beside the folder, of its name and this."""
_REASON = "contaminated"


@contextmanager
def new_folder(out: Path, *, overwrite: bool, drops: bool) -> Iterator[Path]:
    """A folder to write into, which becomes `out` in the end. What stood there is removed only then.

    `drops`: whether rows may be left out, and kept beside `out`. Raises `PurifyError` if `out` holds anything but a
    published copy that may be overwritten, or something else has the name of the file for these rows.
    """
    if out.is_file():
        raise PurifyError(f"{out}: is a file; name a directory")
    if out.exists() and any(out.iterdir()):
        _refuse_strangers(out)
        if not overwrite:
            raise PurifyError(
                f"{out}: holds a published copy of another dataset; choose another directory, or add --overwrite"
            )
    aside = aside_of(out)
    if drops and aside.exists() and not _ours(aside):
        raise PurifyError(f"{aside}: is no file of rows that were left out, and would be overwritten; move it away")
    building = out.with_name(f".{out.name}.partial")
    shutil.rmtree(building, ignore_errors=True)
    (building / "data").mkdir(parents=True)
    yield building
    # Both are whole now. Rows left out of an earlier copy are no longer left out of anything.
    left_out = building / DROPPED
    if left_out.exists():
        shutil.move(left_out, aside)
    elif _ours(aside):
        aside.unlink()
    (building / SUMS).write_bytes(_sums(building))
    _replace(out, building)


def _replace(out: Path, building: Path) -> None:
    if out.exists() and (out.samefile(Path.cwd()) or out.is_mount()):
        # A folder that one stands in, or that is a file system of its own, stays; what is in it changes.
        for child in out.iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        for child in sorted(building.iterdir(), key=lambda child: child.name == SUMS):
            shutil.move(child, out / child.name)
        building.rmdir()
        return
    if out.exists():
        shutil.rmtree(out)
    building.rename(out)


def listed(folder: Path) -> list[str]:
    """The files that belong to a published copy: those that `SHA256SUMS` lists, and itself."""
    return [line.split("  ", 1)[1] for line in (folder / SUMS).read_text().splitlines()] + [SUMS]


def _refuse_strangers(out: Path) -> None:
    if not (out / SUMS).is_file():
        raise PurifyError(f"{out}: holds something else than a published copy; choose an empty or new directory")
    if (stranger := stranger_in(out)) is not None:
        raise PurifyError(f"{stranger}: is no part of the published copy; move it away")


def stranger_in(folder: Path) -> Path | None:
    """The first file that does not belong to a published copy; null if all do."""
    known = set(listed(folder))
    files = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
    return next((path for path in files if path.relative_to(folder).as_posix() not in known), None)


def aside_of(out: Path) -> Path:
    """Where the rows are kept that a copy leaves out."""
    return out.with_name(f"{out.name}{DROPPED}")


def _ours(aside: Path) -> bool:
    try:
        with aside.open("rb") as lines:
            entry = orjson.loads(lines.readline())
    except (OSError, orjson.JSONDecodeError):
        return False
    return isinstance(entry, dict) and entry.get("reason") == _REASON and "record" in entry


def changed_file(folder: Path) -> str | None:
    """The first file that is missing or no longer what `SHA256SUMS` says; null if all are."""
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        if not (folder / name).is_file() or file_sha256(folder / name) != digest:
            return name
    return None


def place_shards(dataset: Dataset, folder: Path) -> list[Shard]:
    """The shards as they are, byte by byte: a link would follow the source when that is written to, or moved."""
    for shard in dataset.manifest.shards:
        shutil.copyfile(dataset.path / shard.path, folder / shard.path)
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
    for stem, (path, rows) in zip(shard_names(len(written)), written, strict=True):
        name = f"data/{stem}.parquet"
        path.rename(folder / name)
        size = (folder / name).stat().st_size
        shards.append(Shard(path=name, rows=rows, bytes=size, sha256=file_sha256(folder / name)))
    shutil.rmtree(scratch)
    return shards


def keep_dropped(dataset: Dataset, audit: Audit, building: Path) -> None:
    """Write the rows that were left out, whole and with the reason; `new_folder` puts the file beside the copy."""
    from purify.reporting import read_rows

    reasons = {hit.row: hit for hit in audit.contaminated}
    with (building / DROPPED).open("wb") as file:
        for number, trajectory in read_rows(dataset, sorted(reasons)):
            entry: dict[str, Any] = {"reason": _REASON, **reasons[number].model_dump()}
            file.write(orjson.dumps(entry | {"record": trajectory.model_dump(mode="json")}) + b"\n")


def _sums(folder: Path) -> bytes:
    """As `sha256sum` writes them (GNU coreutils): `sha256sum -c SHA256SUMS` checks all but itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files).encode()


def is_copy(folder: Path) -> bool:
    """Whether a published copy stands there, finished."""
    return (folder / SUMS).is_file() and (folder / MANIFEST).is_file()
