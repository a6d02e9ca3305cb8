"""What an exporter is: one function from a trajectory to the records of a foreign format.

Adding a format is one file with an `Exporter` and one line in `registry.py`. What the format cannot hold is named in
`losses` and counted row by row, so that nobody learns of it later.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import orjson
import pyarrow as pa

from purify.datasets import Dataset
from purify.exporting.config import ExportConfig
from purify_schemas import Trajectory
from purify_schemas.carried import whole_text

JSON = pa.json_()
"""Foreign JSON in Parquet: stored as text, so that no object gets the keys of its neighbours as nulls, and given back
as an object by `datasets.load_dataset`. (arrow.apache.org: canonical extension type arrow.json)"""

RowData = dict[str, Any]

Layout = Literal["parquet", "lines", "sessions"]
"""Parquet, JSON lines, or a file of JSON lines for each trajectory."""


@dataclass
class Tally:
    """What an export could not keep."""

    lost: Counter[str] = field(default_factory=Counter)
    """Trajectories that a loss of the exporter (a key of its `losses`) befell."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Trajectories that gave no record, by reason."""
    failed_calls: int = 0
    """Failed calls in records whose turns a trainer takes for good ones."""
    row: int = 0
    """Where the trajectory at hand stands in its shard."""

    def lose(self, *names: str) -> None:
        """Count each of these losses once for the trajectory at hand."""
        self.lost.update(set(names))

    def skip(self, reason: str) -> None:
        self.skipped[reason] += 1


class Exporter(Protocol):
    """Writes one foreign format."""

    name: str
    """What `--to` takes."""

    reader: str
    """Who reads the result, in a few words; for the card."""

    losses: Mapping[str, str]
    """What the format cannot hold: a name, and a sentence for people."""

    layout: Layout

    schema: pa.Schema | None
    """Of the records of Parquet. `JSON` leaves take JSON text."""

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        """The records of one trajectory, in order; `tally` learns what they lack, or why there are none."""
        ...


@runtime_checkable
class Surveying(Protocol):
    """An exporter that must know the whole dataset before it writes the first record."""

    def surveyed(self, dataset: Dataset) -> Iterator[Exporter]:
        """The exporter for each shard, in order, knowing what it needs there. It is sent to a worker process."""
        ...


def json_leaf(value: object) -> str:
    """JSON text. Half a surrogate pair, which arguments may hold as an escape, becomes U+FFFD: few readers take it."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # that, and integers past 64 bits
        return whole_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def to_arrow(records: Sequence[RowData], schema: pa.Schema) -> pa.Table:
    """Records as a table. Raises `pyarrow.ArrowInvalid` if one does not fit: our bug."""
    plain = pa.schema([field.with_type(_plain(field.type)) for field in schema])
    return pa.Table.from_pylist(list(records), schema=plain).cast(schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with text for JSON: pyarrow cannot build the extension type inside lists, but casts to it."""
    if kind == JSON:
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(_plain(child.type)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind
