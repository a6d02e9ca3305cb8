"""Full-text search: which trajectories contain some words, found row group by row group without building any of them.

    for found in search(reader, rows, "division by zero"):
        print(found.looked_at, found.rows)

Searched are ids, the prompt, reasoning, calls (name, arguments, error type) and what came back, answer and reference,
and what an edit took out; not tool definitions, rewards, the source, or what importers keep in `extra`. Upper and lower
case are the same. Arguments of calls are stored as JSON, so there the words are looked for in their escaped spelling as
well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from purify.reporting.reader import RowReader, Rows

_ITEM = ".list.element"
_STEP = f"steps{_ITEM}"
_REMOVED = f"provenance.edits{_ITEM}.removed{_ITEM}"
_OF_STEP = [
    "reasoning.text",
    "action.text",
    *(f"calls{_ITEM}.{name}" for name in ("name", "arguments", "error_type")),
    *(f"observation.messages{_ITEM}.{name}" for name in ("content", "parts")),
]
TEXTS = [
    *("trajectory_id", "task_id", "answer", "reference"),
    *(f"messages{_ITEM}.{name}" for name in ("content", "parts", "tool_calls")),
    *(f"{_STEP}.{name}" for name in _OF_STEP),
]
REMOVED_TEXTS = [f"{_REMOVED}.{name}" for name in _OF_STEP]


@dataclass(frozen=True)
class Found:
    """How far a search is: rows looked at so far, and those found since the last time."""

    looked_at: int
    rows: Rows


def search(reader: RowReader, rows: Rows, text: str) -> Iterator[Found]:
    """Look for `text` in the given rows, one row group at a time; stop by no longer asking.

    Raises `PurifyError` if a shard is damaged.
    """
    leaves = TEXTS + (REMOVED_TEXTS if reader.dataset.purified else [])
    spellings = {text, orjson.dumps(text)[1:-1].decode(), json.dumps(text)[1:-1]}
    looked_at = 0
    for group, here in reader.groups(rows):
        table = reader.table(group, leaves)
        hits = [contains(batch.to_struct_array(), spellings) for batch in table.to_batches()]
        looked_at += len(here)
        yield Found(looked_at, here[np.concatenate(hits)[here - group.first]] if hits else here[:0])


def contains(array: pa.Array, spellings: set[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each element of an Arrow array, however nested, whether any string in it has one of the spellings."""
    found = np.zeros(len(array), dtype=np.bool_)
    if pa.types.is_struct(array.type):
        for field in array.flatten():
            found |= contains(field, spellings)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        found[parents[contains(array.flatten(), spellings)]] = True
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        for text in spellings:
            matched = pc.match_substring(array, text, ignore_case=True).fill_null(False)
            found |= matched.to_numpy(zero_copy_only=False)
    return found
