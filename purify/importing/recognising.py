"""Which files of a dump are of which format: `--format auto`, and what is read beside a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.importing.base import ReadsBeside
from purify.importing.config import ImportConfig
from purify.importing.json_records import Read
from purify.importing.records import plan_units, read_segment
from purify.importing.registry import IMPORTERS, importer_named, recognise

SAMPLED_RECORDS = 20
"""How many records of a file are looked at to recognise its format."""
UNREADABLE = "no readable record in it"
EMPTY = "the file is empty"
NO_RECORD = "no record in it"


@dataclass(frozen=True)
class Recognised:
    """What `--format auto` made of one file. Without a format its records are put aside, with `why` as the reason."""

    file: str
    format: str | None
    why: str

    @property
    def puts_aside(self) -> bool:
        """Whether there is a record that is put aside for having no format."""
        return self.format is None and self.why not in (EMPTY, NO_RECORD)


def recognise_files(root: Path, names: list[str], config: ImportConfig) -> list[Recognised]:
    """What each file is; a file that another one's importer reads with that one is no dump file of its own.

    Raises `PurifyError` if the format that the user named is unknown, or none of the files is of a known one.
    """
    chosen = "tagged" if config.preset and config.format == "auto" else config.format
    if chosen != "auto":
        importer_named(chosen)
        return _without_read_beside(root, [Recognised(name, chosen, "as told") for name in names])
    found = [_recognise_file(root, name) for name in names]
    unknown = [entry for entry in found if entry.puts_aside and entry.why != UNREADABLE]
    if unknown and not any(entry.format for entry in found):
        raise PurifyError(f"{root / unknown[0].file}: {unknown[0].why}")
    return _without_read_beside(root, found)


def _without_read_beside(root: Path, formats: list[Recognised]) -> list[Recognised]:
    """The dump files: without those that are read with another one, unless they are of another format themselves."""
    readers = {path: entry.format for entry in formats for path in _beside(root, entry)}
    return [entry for entry in formats if entry.file not in readers or entry.format not in (None, readers[entry.file])]


def _beside(root: Path, entry: Recognised) -> list[str]:
    """What the importer of this file reads beside it, as paths like those of dump files."""
    importer = importer_named(entry.format) if entry.format else None
    if not isinstance(importer, ReadsBeside):
        return []
    folder = PurePosixPath(entry.file).parent
    return [(folder / name).as_posix() for name in importer.beside(root / entry.file)]


def beside_digests(root: Path, formats: Sequence[Recognised]) -> list[tuple[str, str]]:
    """Names and contents of the files beside the dump files: they decide about rows too."""
    paths = sorted({path for entry in formats for path in _beside(root, entry)})
    return [(path, file_sha256(root / path)) for path in paths]


def _recognise_file(root: Path, name: str) -> Recognised:
    """The format of a file by its first records; none where they tell nothing, and its records are put aside then."""
    reads = list(islice(_reads(root, name), SAMPLED_RECORDS))
    records = [read.record for read in reads if read.record is not None]
    for record in records:
        try:
            match = recognise(record)
        except PurifyError as error:  # several formats claim it
            return Recognised(name, None, str(error))
        if match is not None:
            return Recognised(name, *match)
    if not records:
        nothing = NO_RECORD if (root / name).stat().st_size else EMPTY
        return Recognised(name, None, UNREADABLE if reads else nothing)
    if records[0].keys() >= {"trajectory_id", "tool_state", "steps"}:
        return Recognised(name, None, "is a shard of a purify dataset; give its folder to `purify clean`")
    keys = ", ".join(sorted(records[0])[:8])
    known = ", ".join(sorted(IMPORTERS))
    return Recognised(name, None, f"format not recognised (a record has the keys {keys}); known with --format: {known}")


def _reads(root: Path, name: str) -> Iterator[Read]:
    for unit in plan_units(root, [name]):
        for segment in unit:
            yield from read_segment(root, segment)
