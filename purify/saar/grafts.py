"""Where accepted edits stand in the purified trajectory. Provenance speaks of raw steps; columns hold purified ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from purify.saar.apply import flat_list


class Graft(NamedTuple):
    """One accepted edit."""

    raw_steps: list[int]
    raw: int
    """The raw step whose call it is."""
    stored: int
    """The step of the purified trajectory that it became."""
    deep: bool
    """Whether the reasoning is that step's, too."""


def grafts(table: pa.Table) -> list[list[Graft]]:
    """The accepted edits of each row, in order; none where the table is raw."""
    if "provenance" not in table.column_names:
        return [[] for _ in range(len(table))]
    offsets, edits = flat_list(pc.struct_field(table.column("provenance").combine_chunks(), "edits"))
    names = ("accepted", "raw_steps", "reasoning_from", "action_from")
    flat = list(zip(*(pc.struct_field(edits, name).to_pylist() for name in names), strict=True))
    return [
        list(located(edit[1:] for edit in flat[first:last] if edit[0])) for first, last in pairwise(offsets.tolist())
    ]


def located(accepted: Iterable[tuple[list[int], int, int]]) -> Iterator[Graft]:
    """`accepted`: (raw_steps, reasoning_from, action_from) of a row, in order. Each takes out all its steps but one,
    so what follows moves forward."""
    removed = 0
    for raw_steps, reasoning, action in accepted:
        removed += len(raw_steps) - 1
        yield Graft(raw_steps, action, action - removed, deep=reasoning == action)
