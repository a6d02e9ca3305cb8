"""Finished trajectories of a run that is not finished: what a kill leaves for `--resume`.

Trajectories end in any order and shards need all of theirs, so each is written down as it ends: one Arrow record
batch in a stream. A stream that was cut off is read up to the cut.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from purify_schemas import Trajectory, to_table


class Journal:
    """Appends to a file of its own, and knows what earlier runs have written."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(exist_ok=True)
        self._schema = schema
        self.rows = read_journal(folder)
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
        self.rows.update(_batches(self._path))


def read_journal(folder: Path) -> dict[str, pa.RecordBatch]:
    """trajectory_id -> its record batch, which lies in its file until it is looked at. A run may be writing there."""
    return {id: batch for path in sorted(folder.glob("*.arrows")) for id, batch in _batches(path)}


def _batches(path: Path) -> list[tuple[str, pa.RecordBatch]]:
    """The whole batches of a stream, mapped and not copied; what follows a cut is not there."""
    found: list[tuple[str, pa.RecordBatch]] = []
    try:
        with pa.ipc.open_stream(pa.memory_map(str(path))) as reader:
            for batch in reader:
                found.append((batch.column("trajectory_id")[0].as_py(), batch))
    except (pa.ArrowInvalid, OSError, EOFError):
        pass  # cut off by a kill: the trajectory that was being written is sampled again
    return found
