"""What training reads: every trajectory as flat arrays, written once and mapped into memory by every process.

A dataset's shards are made for reading in order; updates draw trajectories at random. So one pass writes ids,
positions, log-probs and marks to an Arrow file in the run's folder, and whatever is looked at later is a view of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.lm.sequences import ACTION, Sequences, sampled_logprobs, sequences
from purify.saar.apply import flat_list
from purify.training.marks import Marks, marks

EXAMPLES = pa.schema(
    {
        "row": pa.int64(),
        "temperature": pa.float32(),
        "ids": pa.list_(pa.int32()),
        "at": pa.list_(pa.int32()),
        "old": pa.list_(pa.float32()),
        "mu": pa.list_(pa.float32()),
        "marks": pa.list_(pa.uint8()),
    }
)
COLUMNS = ("prompt_token_ids", "steps", "source")

Singles = npt.NDArray[np.float32]


class Example(NamedTuple):
    """One training sequence. All but `ids` have one value a token of the model's."""

    ids: npt.NDArray[np.int32]
    at: npt.NDArray[np.int32]
    """Where in `ids` the model's tokens stand."""
    old: Singles
    """Scored log-probs; NaN where there are none."""
    mu: Singles
    """Sampled log-probs; NaN where unknown, and from the first graft on, where they no longer describe the context."""
    marks: Marks


class Examples:
    """The file that `write_examples` made, one example an index."""

    def __init__(self, path: Path) -> None:
        batches = pa.ipc.open_file(pa.memory_map(str(path))).read_all().to_batches()
        self._columns = [[flat_list(batch.column(name)) for name in Example._fields] for batch in batches]
        self._starts = np.concatenate([[0], np.cumsum([len(batch) for batch in batches])]).astype(np.int64)
        self.lengths, self.tokens = (
            np.concatenate([np.zeros(0, np.int64), *(np.diff(columns[which][0]) for columns in self._columns)])
            for which in (0, 1)
        )
        """Of each example: its ids, and those that the model wrote."""
        self.rows, self.temperatures = (
            np.concatenate([np.zeros(0, kind), *(np.asarray(batch.column(name)) for batch in batches)])
            for name, kind in (("row", np.int64), ("temperature", np.float32))
        )

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Example:
        batch = int(np.searchsorted(self._starts, index, side="right")) - 1
        at = index - int(self._starts[batch])
        return Example(*(_slice(offsets, values, at) for offsets, values in self._columns[batch]))


def _slice(offsets: npt.NDArray[np.int64], values: pa.Array, at: int) -> Any:
    # A zero-copy view, whatever the size of the batch.
    return np.asarray(values.slice(int(offsets[at]), int(offsets[at + 1] - offsets[at])))


def write_examples(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, EXAMPLES) as writer:
        for batch in batches:
            writer.write_batch(batch)


def examples_of(table: pa.Table, rows: Sequence[int]) -> pa.RecordBatch:
    """The table's rows as examples. `rows` are their numbers in the dataset."""
    flat = sequences(table)
    own = flat.own
    counts = np.diff(np.concatenate([[0], np.cumsum(own)])[flat.offsets])
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    places = np.arange(len(flat.ids)) - np.repeat(flat.offsets[:-1], np.diff(flat.offsets))
    mu = sampled_logprobs(table)
    mu[_stale(table, flat)[own]] = np.nan
    per_token = {"at": places[own].astype(np.int32), "old": _scored(table, int(counts.sum()), counts), "mu": mu}
    arrays = {
        "row": pa.array(rows, pa.int64()),
        "temperature": pa.array(_temperatures(table), pa.float32()),
        "ids": pa.ListArray.from_arrays(pa.array(flat.offsets.astype(np.int32)), pa.array(flat.ids)),
        **{name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in per_token.items()},
        "marks": pa.ListArray.from_arrays(offsets, pa.array(marks(table, flat))),
    }
    return pa.RecordBatch.from_arrays([arrays[name] for name in EXAMPLES.names], schema=EXAMPLES)


def _scored(table: pa.Table, total: int, counts: npt.NDArray[np.int64]) -> Singles:
    found = np.full(total, np.nan, dtype=np.float32)
    if "scores" in table.column_names:
        lists = pc.struct_field(table.column("scores").combine_chunks(), "logprobs")
        found[np.repeat(np.asarray(lists.is_valid()), counts)] = np.asarray(pc.list_flatten(lists))
    return found


def _temperatures(table: pa.Table) -> Singles:
    """That of the scores; without any, that of the sampling; 1 where it was greedy or is unknown."""
    found = pc.struct_field(table.column("source"), "temperature")
    if "scores" in table.column_names:
        found = pc.coalesce(pc.struct_field(table.column("scores"), "temperature"), found)
    values = np.asarray(pc.fill_null(found, 1.0), dtype=np.float32)
    return np.where(values > 0, values, np.float32(1))


def _stale(table: pa.Table, flat: Sequences) -> npt.NDArray[np.bool_]:
    """Of each token, whether it stands at or after the row's first graft."""
    if "provenance" not in table.column_names:
        return np.zeros(len(flat.ids), dtype=bool)
    stale_from = pc.struct_field(table.column("provenance").combine_chunks(), "stale_from")
    never = np.iinfo(np.int32).max
    step = np.asarray(pc.fill_null(pc.struct_field(stale_from, "step"), never))
    in_action = np.asarray(pc.fill_null(pc.equal(pc.struct_field(stale_from, "part"), "action"), False))
    row = np.repeat(np.arange(len(table)), np.diff(flat.offsets))
    reached = (flat.step > step[row]) | ((flat.step == step[row]) & (~in_action[row] | (flat.part >= ACTION)))
    stale: npt.NDArray[np.bool_] = reached & (flat.step >= 0)
    return stale
