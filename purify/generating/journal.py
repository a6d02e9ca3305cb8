"""Finished trajectories of a run that is not finished: what a kill leaves for `--resume`.

Trajectories end in any order and shards need all of theirs, so each is written down as it ends: one Arrow record
batch in a stream. A stream that was cut off is read up to the cut. Memory holds where each one lies, and no row.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import pyarrow as pa

from purify_schemas import Trajectory, to_table


class Place(NamedTuple):
    """Where a trajectory's record batch begins."""

    path: Path
    offset: int


class Journal:
    """Appends to a file of its own, and knows what earlier runs have written."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(exist_ok=True)
        self._schema = schema
        self.places = read_journal(folder, schema)
        """What earlier runs have written; on leaving, what this one has written too."""
        self._path = folder / f"{len(list(folder.glob('*.arrows'))):05d}.arrows"
        self._file = pa.OSFile(str(self._path), "wb")
        self._writer = pa.ipc.new_stream(self._file, schema)

    def add(self, trajectory: Trajectory) -> None:
        """Write a finished trajectory: it survives a kill of this process from here on."""
        for batch in to_table([trajectory], self._schema).to_batches():
            self._writer.write_batch(batch)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        os.fsync(self._file.fileno())
        self._file.close()
        self.places.update(_places(self._path, self._schema))


def read_journal(folder: Path, schema: pa.Schema) -> dict[str, Place]:
    """trajectory_id -> where it is written. A run may be writing there."""
    return {id: place for path in sorted(folder.glob("*.arrows")) for id, place in _places(path, schema)}


def read_row(place: Place, schema: pa.Schema) -> pa.Table:
    """The one row that lies there."""
    with pa.memory_map(str(place.path)) as source:
        source.seek(place.offset)
        return pa.Table.from_batches([pa.ipc.read_record_batch(pa.ipc.read_message(source), schema)])


def _places(path: Path, schema: pa.Schema) -> Iterator[tuple[str, Place]]:
    """The whole batches of a stream; what follows a cut is not there."""
    with pa.memory_map(str(path)) as source:
        try:
            pa.ipc.read_message(source)  # the schema
            while True:
                offset = source.tell()
                batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), schema)
                yield batch.column("trajectory_id")[0].as_py(), Place(path, offset)
        except (pa.ArrowInvalid, OSError, EOFError):
            return  # its end, or a kill: the trajectory that was being written is sampled again
