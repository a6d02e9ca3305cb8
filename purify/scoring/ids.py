"""The ids of a table's rows: which are whole, which have to be rendered, which cannot be scored and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.chat.rendering import Renderer
from purify.errors import PurifyError
from purify.lm.sequences import Sequences, sequences
from purify.saar.apply import flat_list
from purify_schemas import from_table, to_table

Flags = npt.NDArray[np.bool_]


class Problem(NamedTuple):
    """Why a row cannot be scored."""

    kind: str
    """Under which it is counted."""
    text: str


@dataclass(frozen=True)
class Batch:
    """A table whose rows have ids, as far as they can have any."""

    table: pa.Table
    sequences: Sequences
    own: Flags
    """Of each token: whether the model wrote it."""
    rendered: Flags
    """Of each row: whether its ids were made here."""
    problems: dict[int, Problem]
    counts: Counter[str]


def with_ids(table: pa.Table, renderer: Renderer, *, max_length: int, vocabulary: int) -> Batch:
    """Render the rows that have only text, and find those that cannot be scored."""
    whole, bare = _states(table)
    problems = {
        int(row): Problem("ids_missing", "some of its token ids are missing") for row in np.flatnonzero(~whole & ~bare)
    }
    rendered, counts = np.zeros(len(table), dtype=bool), Counter[str]()
    rows: list[Any] = []
    for index, row in zip(np.flatnonzero(bare).tolist(), from_table(table.filter(pa.array(bare))), strict=True):
        try:
            made, notes = renderer(row)
        except PurifyError as error:
            problems[index] = Problem("not_rendered", str(error))
            continue
        rendered[index] = True
        rows.append(made)
        counts["rendered_inexact"] += not notes.exact
        counts["rendered_by_template"] += notes.reshaped
        counts["rendered_forgetting"] += notes.forgets
    counts = +counts
    if rows:
        order = np.arange(len(table))
        order[rendered] = len(table) + np.arange(len(rows))
        table = pa.concat_tables([table, to_table(rows, table.schema)]).take(pa.array(order)).combine_chunks()
    found = sequences(table)
    own = found.own
    for index, problem in _unfit(found, own, max_length, vocabulary):
        problems.setdefault(index, problem)
    return Batch(table, found, own, rendered, problems, counts)


def _states(table: pa.Table) -> tuple[Flags, Flags]:
    """Of each row: whether no id is missing that scoring needs, and whether there are none at all."""
    offsets, steps = flat_list(table.column("steps"))
    sides = (("reasoning", "token_ids"), ("action", "token_ids"), ("observation", "token_ids"))
    reasoning, action, observed = (np.asarray(pc.is_valid(pc.struct_field(steps, list(side)))) for side in sides)
    last = np.zeros(len(steps), dtype=bool)
    last[offsets[1:][np.diff(offsets) > 0] - 1] = True
    turn = reasoning | action
    prompt = np.asarray(pc.is_valid(table.column("prompt_token_ids")).combine_chunks())
    # Nothing is generated after the last step, so nobody needs ids of what came back.
    missing, any_ids = ~(turn & (observed | last)), turn | observed
    return prompt & (_count(missing, offsets) == 0), ~prompt & (_count(any_ids, offsets) == 0)


def _count(flags: Flags, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.diff(np.concatenate([[0], np.cumsum(flags)])[offsets])


def _unfit(found: Sequences, own: Flags, max_length: int, vocabulary: int) -> list[tuple[int, Problem]]:
    problems = []
    lengths = np.diff(found.offsets)
    for row in np.flatnonzero(lengths > max_length).tolist():
        problems.append((row, Problem("too_long", f"{lengths[row]:,} tokens, the model's context is {max_length:,}")))
    strange = np.flatnonzero(found.ids >= vocabulary)
    for at in strange[np.unique(np.searchsorted(found.offsets, strange, side="right"), return_index=True)[1]].tolist():
        row = int(np.searchsorted(found.offsets, at, side="right")) - 1
        text = f"token id {found.ids[at]} is outside the model's vocabulary of {vocabulary:,}"
        problems.append((row, Problem("outside_vocabulary", text)))
    filled = np.flatnonzero(lengths)
    for row in filled[own[found.offsets[filled]]].tolist():
        problems.append((row, Problem("no_context", "its first model token has no context: the prompt is empty")))
    return problems
