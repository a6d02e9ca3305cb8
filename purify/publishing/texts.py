"""Every text of a dataset with where it stands: what the scan, the n-grams and the shingles read.

Only leaves that hold strings are read from Parquet, so token ids and log-probs cost nothing, and a few rows become
Python objects at a time. Strings that hold JSON (arguments, tools, extra) are walked into: an escaped line break is no
letter `n` in front of an address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from purify.datasets import Dataset

_BATCH = 256
_DEEPEST = 64
"""A field whose JSON is nested more deeply is one text."""
_OPENING = ("{", "[", '"')
_PLAIN_KEY = re.compile(r"[A-Za-z_]{1,30}")
"""Any other key of foreign JSON may itself be what must not be seen: it is a text, and its place has a number."""
_JSON = frozenset({"arguments", "extra", "parts", "sampling", "tool_calls", "tools"})
"""Fields of the schema that hold JSON (`purify_schemas.rows`)."""


class Text(NamedTuple):
    """`field` names the place as one would in Python: `steps[2].observation.messages[0].content`."""

    field: str
    text: str


def rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The rows in order, without their numbers: strings, and the structs and lists around them."""
    leaves = [leaf for name in dataset_schema(dataset) for leaf in _leaves(name.name, name.type)]
    for table in dataset.tables(leaves):
        for batch in table.to_batches(max_chunksize=_BATCH):
            yield from batch.to_pylist()


def dataset_schema(dataset: Dataset) -> pa.Schema:
    """The Arrow schema of the shards."""
    from purify.datasets.parquet import open_shard

    with open_shard(dataset.path / dataset.manifest.shards[0].path) as file:
        return file.schema_arrow


def texts(row: dict[str, Any]) -> Iterator[Text]:
    """Every text of a row that is not empty, in the order of the schema."""
    for name, value in row.items():
        yield from _walk(name, name, value)


def _walk(field: str, name: str, value: Any, depth: int = 0) -> Iterator[Text]:
    if depth > _DEEPEST:
        raise RecursionError
    if isinstance(value, str):
        if name in _JSON and value.startswith(_OPENING):
            try:
                yield from list(_walk(field, "", orjson.loads(value), depth + 1))
            except (orjson.JSONDecodeError, RecursionError):
                yield Text(field, value)
        elif value:
            yield Text(field, value)
    elif isinstance(value, dict):
        for index, (key, item) in enumerate(value.items()):
            if _PLAIN_KEY.fullmatch(key):
                yield from _walk(f"{field}.{key}", key, item, depth + 1)
            else:
                yield Text(f"{field}.#{index} (the key)", key)
                yield from _walk(f"{field}.#{index}", "", item, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(f"{field}[{index}]", name, item, depth + 1)


def _leaves(path: str, kind: pa.DataType) -> Iterator[str]:
    """Parquet paths of the string leaves below a column."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    elif pa.types.is_string(kind):
        yield path
