"""Where the rows come from, and under which licence: only the publisher knows it, so it is never guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from purify.datasets import Dataset

_LEAVES = [f"source.{name}" for name in ("framework", "format", "model", "file")]
_Key = tuple[str | None, str | None, str | None, str | None, str | None]
_LISTED = 40
"""More files than this are told by their folders."""


class Origin(NamedTuple):
    """Rows of one framework, format, model and file (or folder of files)."""

    framework: str | None
    format: str | None
    model: str | None
    place: str | None
    licence: str | None
    rows: int


class Sources(NamedTuple):
    origins: list[Origin]
    unused: list[str]
    """Names that a licence was given for and no row has."""

    @property
    def unknown(self) -> int:
        """Rows without a licence."""
        return sum(origin.rows for origin in self.origins if origin.licence is None)


def sources(dataset: Dataset, licences: dict[str, str]) -> Sources:
    """Count the rows of every source; `licences` maps a file, folder, model, framework or format to its licence."""
    counts: Counter[tuple[str | None, ...]] = Counter()
    for table in dataset.tables(_LEAVES):
        for source in table["source"].to_pylist():
            counts[tuple(source[name] for name in ("framework", "format", "model", "file"))] += 1
    used: set[str] = set()
    rows: Counter[_Key] = Counter()
    for (framework, format_, model, file), count in counts.items():
        name = next((name for name in _names(framework, format_, model, file) if name in licences), None)
        if name is not None:
            used.add(name)
        place = file if len(counts) <= _LISTED else _folder(file)
        rows[framework, format_, model, place, None if name is None else licences[name]] += count
    origins = [Origin(*key, count) for key, count in rows.items()]
    origins.sort(key=lambda origin: tuple(part or "" for part in origin[:4]))
    return Sources(origins, sorted(set(licences) - used))


def _names(framework: str | None, format_: str | None, model: str | None, file: str | None) -> Iterator[str | None]:
    """What a licence may be given for, the nearest first."""
    if file is not None:
        yield file
        yield from (str(folder) for folder in PurePosixPath(file).parents)
    yield from (model, framework, format_)


def _folder(file: str | None) -> str | None:
    return None if file is None else f"{PurePosixPath(file).parent}/"
