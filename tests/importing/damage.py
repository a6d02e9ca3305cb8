"""Damaged copies of records, for the property that an importer reads or rejects whatever it is given."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from purify.importing.base import Importer, RecordContext
from purify.importing.json_records import HALF_PAIR, Read
from purify.importing.stage import convert
from purify_schemas import Trajectory, from_table, to_table

_KEYS = ["role", "content", "type", "text", "value", "name", "id", "x"]
# Text that only turns out not to be text when what it holds is read: half a surrogate pair.
_HALVES = ['"\\ud800"', '{"a": "\\ud800"}', '[{"name": "\\ud800"}]', "{'a': '\\ud800'}"]
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["text", "{", "[", "[{}]", "assistant", *_HALVES]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=3),
    max_leaves=6,
)


def put(record: Any, path: tuple[Any, ...], value: object) -> None:
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


@st.composite
def broken(draw: st.DrawFn, records: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the records with one to three members replaced by junk, or taken out; inside JSON that is text too."""
    record: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(records)))
    for _ in range(draw(st.integers(1, 3))):
        _break(draw, record)
    return record


def damaged(base: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """A broken copy of `base`."""
    return data.draw(broken([base]))


def outcome(importer: Importer, record: dict[str, Any], context: RecordContext) -> list[Trajectory] | str:
    """What an import makes of this record: rows, which are the same out of a file, or the reason why there are none."""
    made = convert(importer, Read(context.row, record, None), context)
    if isinstance(made, str):
        assert made
        return made
    try:
        table = to_table(made)
    except UnicodeEncodeError:
        return HALF_PAIR
    assert list(from_table(table)) == made
    return made


def _break(draw: st.DrawFn, record: Any) -> None:
    places = list(_places(record))
    if not places:
        return
    owner, key = draw(st.sampled_from(places))
    inside = _embedded(owner[key])
    if inside is not None and draw(st.booleans()):
        _break(draw, inside)
        owner[key] = json.dumps(inside)
    elif draw(st.booleans()):
        owner[key] = draw(JUNK)
    else:
        del owner[key]


def _embedded(value: object) -> Any:
    """The list or object that this text is the JSON of."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return None
    try:
        return json.loads(value)
    except ValueError:
        return None


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
