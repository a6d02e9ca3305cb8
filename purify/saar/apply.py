"""Apply and undo edits on Arrow columns. An edit is nothing but an index.

The steps of a batch are one flat array. Applying takes the reasoning side of every new step from one raw step and
its action side from another: two `take`s that move text, ids and log-probs together. What no new step uses is taken
into `removed` the same way, and undoing is the inverse index.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.saar.rows import removed_part, stale_from
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Edit, StaleFrom
from purify_schemas.arrow import ACTION_SIDE, EDIT, PROVENANCE, REASONING_SIDE, REMOVED, STEP, column

Ints = npt.NDArray[np.int64]


def apply_edits(
    table: pa.Table, edits: Sequence[Sequence[Edit]], selected: npt.NDArray[np.bool_], constants: dict[str, str | None]
) -> pa.Table:
    """A raw table and its plan -> the purified table, row for row.

    `edits[i]` are those of row i, without `removed`; `selected[i]` says whether SAAR was applied to it; `constants`
    are the provenance fields that all rows share (parent_digest, method, config_digest).
    """
    offsets, steps = flat_list(table.column("steps"))
    accepted = [(row, edit) for row, found in enumerate(edits) for edit in found if edit.accepted]
    if accepted:
        keep = np.ones(len(steps), dtype=bool)
        reasoning = np.arange(len(steps), dtype=np.int64)
        for row, edit in accepted:
            base = int(offsets[row])
            keep[base + edit.raw_steps[0] : base + edit.raw_steps[-1]] = False
            reasoning[base + edit.raw_steps[-1]] = base + (edit.reasoning_from or 0)
        action = np.flatnonzero(keep)
        new_steps = _recombine(steps, reasoning[action], action, STEP)
        new_offsets = np.concatenate([[0], np.cumsum(keep)])[offsets]
        column_of_steps: pa.Array = _list(new_offsets, new_steps, RAW_SCHEMA.field("steps").type)
    else:
        column_of_steps = table.column("steps")
    provenance = _provenance(table, offsets, steps, edits, selected, constants)
    index = table.schema.get_field_index("steps")
    edited = table.set_column(index, table.schema.field("steps"), column_of_steps)
    return edited.append_column(PURIFIED_SCHEMA.field("provenance"), provenance).cast(PURIFIED_SCHEMA)


def undo_edits(table: pa.Table) -> pa.Table:
    """A purified table -> the raw table it came from, value for value."""
    offsets, steps = flat_list(table.column("steps"))
    provenance = _whole(table.column("provenance"))
    edit_offsets, edits = flat_list(pc.struct_field(provenance, "edits"))
    accepted = np.asarray(pc.struct_field(edits, "accepted"))
    rows_of_edits = np.repeat(np.arange(len(table)), np.diff(edit_offsets))[accepted]
    edits = edits.filter(pa.array(accepted))
    removed_offsets, removed = flat_list(pc.struct_field(edits, "removed"))
    run_offsets, runs = flat_list(pc.struct_field(edits, "raw_steps"))

    extra = np.diff(run_offsets) - 1
    counts = np.diff(offsets) + np.bincount(rows_of_edits, weights=extra, minlength=len(table)).astype(np.int64)
    raw_offsets = np.concatenate([[0], np.cumsum(counts)])
    base_of_edit = raw_offsets[rows_of_edits]

    keep = np.ones(raw_offsets[-1], dtype=bool)
    raw_runs = np.asarray(runs) + np.repeat(base_of_edit, np.diff(run_offsets))
    keep[raw_runs] = False
    success = base_of_edit + _ints(edits, "action_from")
    keep[success] = True
    position = np.cumsum(keep) - 1
    reasoning = np.where(keep, position, -1)
    action = reasoning.copy()
    reasoning[base_of_edit + _ints(edits, "reasoning_from")] = position[success]
    if len(removed):
        raw_step = _ints(removed, "raw_step") + np.repeat(base_of_edit, np.diff(removed_offsets))
        part = np.asarray(pc.struct_field(removed, "part"), dtype=object)
        stored = len(steps) + np.arange(len(removed))
        reasoning[raw_step[part != "action"]] = stored[part != "action"]
        action[raw_step[part != "reasoning"]] = stored[part != "reasoning"]
    restored = _recombine(steps, reasoning, action, STEP, removed)
    index = table.schema.get_field_index("steps")
    column_of_steps = _list(raw_offsets, restored, RAW_SCHEMA.field("steps").type)
    return (
        table.set_column(index, table.schema.field("steps"), column_of_steps).select(RAW_SCHEMA.names).cast(RAW_SCHEMA)
    )


def flat_list(column: pa.ChunkedArray | pa.ListArray) -> tuple[Ints, pa.Array]:
    """Offsets (int64, starting at 0) and flat values of a list column, whatever its chunks and slices."""
    array = _whole(column) if isinstance(column, pa.ChunkedArray) else column
    offsets = np.asarray(array.offsets).astype(np.int64)
    values = array.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    return offsets - offsets[0], values


def _whole(column: pa.ChunkedArray) -> pa.Array:
    # combine_chunks copies even a single chunk, which is what a row group gives.
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def _ints(struct: pa.StructArray, name: str) -> Ints:
    return np.asarray(pc.struct_field(struct, name)).astype(np.int64)


def _list(offsets: Ints, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=kind)


def _recombine(
    steps: pa.StructArray, reasoning: Ints, action: Ints, kind: pa.StructType, more: pa.StructArray | None = None
) -> pa.StructArray:
    """New structs whose reasoning side is that of `steps[reasoning]` and whose action side is that of `steps[action]`.

    An index past the end of `steps` means `more`.
    """
    sides = {**dict.fromkeys(REASONING_SIDE, pa.array(reasoning)), **dict.fromkeys(ACTION_SIDE, pa.array(action))}
    children = []
    for field in kind:
        child = pc.struct_field(steps, field.name)
        if more is not None and len(more):
            child = pa.chunked_array([child, pc.struct_field(more, field.name)])
        taken = child.take(sides[field.name])
        children.append(_whole(taken) if isinstance(taken, pa.ChunkedArray) else taken)
    return pa.StructArray.from_arrays(children, fields=list(kind))


def _provenance(
    table: pa.Table,
    offsets: Ints,
    steps: pa.StructArray,
    edits: Sequence[Sequence[Edit]],
    selected: npt.NDArray[np.bool_],
    constants: dict[str, str | None],
) -> pa.StructArray:
    flat = [edit for found in edits for edit in found]
    without = pa.struct([field for field in EDIT if field.name != "removed"])
    built = column(flat, without)
    children = [built.field(index) for index in range(without.num_fields)]
    children.append(_removed(offsets, steps, edits))
    edit_array = pa.StructArray.from_arrays(children, fields=list(EDIT))
    edit_offsets = np.concatenate([[0], np.cumsum([len(found) for found in edits])]).astype(np.int64)
    stale: list[StaleFrom | None] = [stale_from(list(found)) for found in edits]
    size = len(table)
    fields = {
        "parent_id": _whole(table.column("trajectory_id")),
        "online": pa.array(np.zeros(size, dtype=bool)),
        "mixed_in": pa.array(~selected),
        "stale_from": column(stale, PROVENANCE.field("stale_from").type),
        "edits": _list(edit_offsets, edit_array, PROVENANCE.field("edits").type),
        **{name: pa.array([value] * size, pa.string()) for name, value in constants.items()},
    }
    return pa.StructArray.from_arrays([fields[field.name] for field in PROVENANCE], fields=list(PROVENANCE))


def _removed(offsets: Ints, steps: pa.StructArray, edits: Sequence[Sequence[Edit]]) -> pa.ListArray:
    """The `removed` column of all edits, flat: the sides that no new step uses, taken by index (null: side is kept)."""
    ends, raw_steps, parts, reasoning, action = [0], [], [], [], []
    for row, found in enumerate(edits):
        base = int(offsets[row])
        for edit in found:
            for step in edit.raw_steps if edit.accepted else ():
                part = removed_part(edit, step)
                if part is None:
                    continue
                raw_steps.append(step)
                parts.append(part)
                reasoning.append(None if part == "action" else base + step)
                action.append(None if part == "reasoning" else base + step)
            ends.append(len(raw_steps))
    sides = {
        **dict.fromkeys(REASONING_SIDE, pa.array(reasoning, pa.int64())),
        **dict.fromkeys(ACTION_SIDE, pa.array(action, pa.int64())),
    }
    taken = {name: pc.struct_field(steps, name).take(index) for name, index in sides.items()}
    taken["raw_step"] = pa.array(raw_steps, pa.int32())
    taken["part"] = pa.array(parts, pa.string())
    values = pa.StructArray.from_arrays([taken[field.name] for field in REMOVED], fields=list(REMOVED))
    return _list(np.asarray(ends, dtype=np.int64), values, EDIT.field("removed").type)
