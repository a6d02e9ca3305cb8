"""The column form of the data contract, and the conversion between rows and columns.

The Arrow types are written out (not derived), because they are the published file format: a change here is a change
of `SCHEMA_VERSION`. Arrow's `map` is not used (`datasets.load_dataset` refuses it), and foreign JSON stays a string
(as structs it would be padded with null keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa

from purify_schemas.rows import Trajectory

SCHEMA_VERSION = 1
VERSION_KEY = b"purify_schema_version"

_TEXT = pa.string()
_IDS = pa.list_(pa.int32())


def _struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


MESSAGE = _struct(role=_TEXT, name=_TEXT, content=_TEXT, parts=_TEXT, tool_calls=_TEXT, call_id=_TEXT, extra=_TEXT)
SEGMENT = _struct(text=_TEXT, token_ids=_IDS, logprobs=pa.list_(pa.float32()))
CALL = _struct(
    id=_TEXT,
    name=_TEXT,
    arguments=_TEXT,
    status=_TEXT,
    error_type=_TEXT,
    status_source=_TEXT,
    duration_s=pa.float64(),
)
OBSERVATION = _struct(token_ids=_IDS, messages=pa.list_(MESSAGE))

REASONING_SIDE: dict[str, pa.DataType] = {"reasoning": SEGMENT, "thinking_chars": pa.int32()}
ACTION_SIDE: dict[str, pa.DataType] = {
    "action": SEGMENT,
    "calls": pa.list_(CALL),
    "observation": OBSERVATION,
    "boundary": _TEXT,
    "extra": _TEXT,
}
STEP = _struct(**REASONING_SIDE, **ACTION_SIDE)

LINK = _struct(from_step=pa.int32(), to_step=pa.int32(), similarity=pa.float64(), granularity=_TEXT)
GATE = _struct(name=_TEXT, verdict=_TEXT, detail=_TEXT)
REMOVED = _struct(raw_step=pa.int32(), part=_TEXT, **REASONING_SIDE, **ACTION_SIDE)
EDIT = _struct(
    raw_steps=_IDS,
    reasoning_from=pa.int32(),
    action_from=pa.int32(),
    links=pa.list_(LINK),
    backend=_TEXT,
    threshold=pa.float64(),
    gates=pa.list_(GATE),
    accepted=pa.bool_(),
    reason=_TEXT,
    detail=_TEXT,
    removed=pa.list_(REMOVED),
)
PROVENANCE = _struct(
    parent_id=_TEXT,
    parent_digest=_TEXT,
    method=_TEXT,
    config_digest=_TEXT,
    online=pa.bool_(),
    mixed_in=pa.bool_(),
    stale_from=_struct(step=pa.int32(), part=_TEXT),
    edits=pa.list_(EDIT),
)
_SINGLES = pa.list_(pa.float32())
SCORES = _struct(
    model=_TEXT,
    revision=_TEXT,
    temperature=pa.float64(),
    tokenizer_digest=_TEXT,
    template_digest=_TEXT,
    rendered=pa.bool_(),
    logprobs=_SINGLES,
    raw_logprobs=_SINGLES,
    entropy=_SINGLES,
    self_certainty=_SINGLES,
    edits=pa.list_(_struct(raw_steps=_IDS, tokens=pa.int32(), log_ratio=pa.float64())),
    problem=_TEXT,
)
SOURCE = _struct(
    framework=_TEXT,
    format=_TEXT,
    file=_TEXT,
    row=pa.int64(),
    model=_TEXT,
    revision=_TEXT,
    round=pa.int32(),
    temperature=pa.float64(),
    sampling=_TEXT,
    tokenizer_digest=_TEXT,
    template_digest=_TEXT,
    logprobs_mode=_TEXT,
)

_METADATA = {VERSION_KEY: str(SCHEMA_VERSION).encode()}

RAW_SCHEMA = pa.schema(
    {
        "trajectory_id": _TEXT,
        "task_id": _TEXT,
        "group_id": _TEXT,
        "sample_index": pa.int32(),
        "messages": pa.list_(MESSAGE),
        "tools": _TEXT,
        "tool_state": pa.list_(_struct(name=_TEXT, state=_TEXT)),
        "prompt_token_ids": _IDS,
        "steps": pa.list_(STEP),
        "answer": _TEXT,
        "reference": _TEXT,
        "reward": pa.float32(),
        "rewards": pa.list_(_struct(name=_TEXT, value=pa.float32())),
        "finish_reason": _TEXT,
        "source": SOURCE,
        "extra": _TEXT,
    },
    metadata=_METADATA,
)
PURIFIED_SCHEMA = RAW_SCHEMA.append(pa.field("provenance", PROVENANCE))
SCHEMAS = (
    RAW_SCHEMA,
    PURIFIED_SCHEMA,
    RAW_SCHEMA.append(pa.field("scores", SCORES)),
    PURIFIED_SCHEMA.append(pa.field("scores", SCORES)),
)
"""Every schema that a shard may have: raw or purified, each without and with scores."""


def scored_schema(schema: pa.Schema) -> pa.Schema:
    """A schema of `SCHEMAS`, with the column `scores`."""
    return SCHEMAS[2 + ("provenance" in schema.names)]


def to_table(rows: Sequence[Trajectory], schema: pa.Schema = RAW_SCHEMA) -> pa.Table:
    """Convert rows to columns: one Arrow row a trajectory, in order.

    Raises `ValueError` if a row carries provenance or scores that `schema` has no column for.
    """
    for name in ("provenance", "scores"):
        if name not in schema.names and any(getattr(row, name) is not None for row in rows):
            raise ValueError(f"rows with {name} need a schema with that column")
    return pa.Table.from_arrays(
        [column(list(map(attrgetter(field.name), rows)), field.type) for field in schema], schema=schema
    )


def from_table(table: pa.Table | pa.RecordBatch) -> Iterator[Trajectory]:
    """Convert columns to rows, validating each. Inverse of `to_table`."""
    validate = Trajectory.model_validate
    return (validate(row) for row in table.to_pylist())


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Build one column, children first, so that no row becomes a Python dict on the way."""
    if pa.types.is_struct(kind):
        return _struct_column(values, kind)
    if pa.types.is_list(kind):
        present: Iterable[Any] = (value for value in values if value)
        flat = [item for value in present for item in value]
        offsets, total = [0], 0
        for value in values:
            total += len(value) if value else 0
            offsets.append(total)
        nulls = [value is None for value in values]
        return pa.ListArray.from_arrays(
            pa.array(offsets, pa.int32()),
            column(flat, kind.value_type),
            type=kind,
            mask=pa.array(nulls) if any(nulls) else None,
        )
    return pa.array(values, kind)


def _struct_column(values: Sequence[Any], kind: pa.StructType) -> pa.Array:
    nulls = [value is None for value in values]
    has_nulls = any(nulls)
    children = []
    for field in kind:
        get = attrgetter(field.name)
        child = [None if value is None else get(value) for value in values] if has_nulls else list(map(get, values))
        children.append(column(child, field.type))
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=pa.array(nulls) if has_nulls else None)
