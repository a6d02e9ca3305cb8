"""The training sequence of every row of a table, flat: prompt, then reasoning, action and observation of each step.

The loss mask is derived here and never stored: what the model wrote is `REASONING` and `ACTION`, its end-of-turn token
too; prompts and observations are context.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.saar.apply import flat_list

PROMPT, REASONING, ACTION, OBSERVATION = range(4)

Ints = npt.NDArray[np.int64]


class Sequences(NamedTuple):
    """`ids[offsets[r]:offsets[r + 1]]` is row r. A null list counts as empty; `missing` says which rows have one."""

    ids: npt.NDArray[np.int32]
    offsets: Ints
    part: npt.NDArray[np.int8]
    """Of each token: PROMPT, REASONING, ACTION or OBSERVATION."""
    step: npt.NDArray[np.int32]
    """Of each token: the index of its step in the row; -1 in the prompt."""
    missing: npt.NDArray[np.bool_]
    """Of each row: whether it has no ids of its prompt, of a turn, or of what came back before another turn."""

    @property
    def own(self) -> npt.NDArray[np.bool_]:
        """Of each token: whether the model wrote it."""
        return np.isin(self.part, (REASONING, ACTION))

    def row(self, index: int) -> slice:
        """Where the tokens of a row lie."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))


def sequences(table: pa.Table) -> Sequences:
    """Read the ids of a table (columns `prompt_token_ids` and `steps`), without a Python object a row."""
    rows = len(table)
    step_offsets, steps = flat_list(table.column("steps"))
    sides = [
        pc.struct_field(steps, ["reasoning", "token_ids"]),
        pc.struct_field(steps, ["action", "token_ids"]),
        pc.struct_field(steps, ["observation", "token_ids"]),
    ]
    prompts = table.column("prompt_token_ids").combine_chunks()
    lists = pa.concat_arrays([prompts if isinstance(prompts, pa.Array) else prompts.chunk(0), *sides])

    # Row r has 1 + 3 * (its steps) pieces; `order` is where each lies in `lists`.
    counts = np.diff(step_offsets)
    piece_offsets = np.concatenate([[0], np.cumsum(1 + 3 * counts)])
    order = np.empty(piece_offsets[-1], dtype=np.int64)
    order[piece_offsets[:-1]] = np.arange(rows)
    step_of_piece = np.full(len(order), -1, dtype=np.int32)
    in_row = np.arange(len(steps)) - np.repeat(step_offsets[:-1], counts)
    first = np.repeat(piece_offsets[:-1], counts) + 1 + 3 * in_row
    for side in range(3):
        order[first + side] = rows + side * len(steps) + np.arange(len(steps))
        step_of_piece[first + side] = in_row
    kind = np.zeros(len(order), dtype=np.int8)
    for side, part in enumerate((REASONING, ACTION, OBSERVATION)):
        kind[first + side] = part

    no_prompt, *absent = np.split(np.asarray(lists.is_null()), rows + len(steps) * np.arange(3))
    last = in_row == np.repeat(counts - 1, counts)
    holes = np.flatnonzero((absent[0] & absent[1]) | (absent[2] & ~last))
    missing = no_prompt.copy()
    missing[np.searchsorted(step_offsets, holes, side="right") - 1] = True
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), dtype=np.int64)[order]
    ids = np.asarray(pc.list_flatten(lists.take(pa.array(order))), dtype=np.int32)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    return Sequences(
        ids=ids,
        offsets=ends[piece_offsets],
        part=np.repeat(kind, lengths),
        step=np.repeat(step_of_piece, lengths),
        missing=missing,
    )


def sampled_logprobs(table: pa.Table) -> npt.NDArray[np.float32]:
    """The stored log-probs (mu) of every token of the model's, in order, rows end to end; NaN where they are null."""
    _, steps = flat_list(table.column("steps"))
    sides = ("reasoning", "action")
    ids, values = (
        pa.concat_arrays([pc.struct_field(steps, [side, name]) for side in sides]) for name in ("token_ids", "logprobs")
    )
    order = pa.array(np.arange(2 * len(steps)).reshape(2, -1).T.ravel())
    lengths = np.asarray(pc.fill_null(pc.list_value_length(ids.take(order)), 0), dtype=np.int64)
    values = values.take(order)
    known = np.repeat(np.asarray(values.is_valid()), lengths)
    found = np.full(len(known), np.nan, dtype=np.float32)
    found[known] = np.asarray(pc.list_flatten(values), dtype=np.float32)
    return found
