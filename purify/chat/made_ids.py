"""Ids for calls that have none, where a format asks for one: made when exporting, taken away again when importing."""

from __future__ import annotations

from collections.abc import Collection

_PREFIX = "purify_call_"


def made_id(step: int, call: int) -> str:
    """The id of a call by its place in the trajectory."""
    return f"{_PREFIX}{step}_{call}"


def without_made(call_id: str | None, real: Collection[str] = ()) -> str | None:
    """The id, or None if it is a made one. `real` are ids that are known not to be."""
    return None if call_id is not None and call_id.startswith(_PREFIX) and call_id not in real else call_id
