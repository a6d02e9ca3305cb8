"""Broken records for property tests: a good one with members replaced by anything, or taken out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "text", "{", "[", "[{}]", "assistant"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "value", "name", "id", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@st.composite
def broken(draw: st.DrawFn, records: list[dict[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(records)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(record))
        if not places:
            break
        owner, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            owner[key] = draw(JUNK)
        else:
            del owner[key]
    return record


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
