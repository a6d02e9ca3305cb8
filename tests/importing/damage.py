"""Damaged copies of a record, for the property that an importer reads or rejects whatever it is given."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "type", "content", "text", "x"]), inner)
    ),
    max_leaves=6,
)


def put(record: Any, path: tuple[Any, ...], value: object) -> None:
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


def paths_in(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inside for path in [(*at, key), *paths_in(item, (*at, key))]]


def damaged(base: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """`base` with junk in one place."""
    record = copy.deepcopy(base)
    put(record, data.draw(st.sampled_from(paths_in(base))), data.draw(JUNK))
    return record
