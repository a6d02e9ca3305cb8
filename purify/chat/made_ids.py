"""Ids for calls that have none, where a format asks for one: made when exporting, taken away again when importing."""

from __future__ import annotations

_PREFIX = "purify_call_"


def made_id(step: int, call: int) -> str:
    """The id of a call by its place in the trajectory."""
    return f"{_PREFIX}{step}_{call}"


def without_made(call_id: str | None) -> str | None:
    """The id, or None if it is a made one."""
    return None if call_id is not None and call_id.startswith(_PREFIX) else call_id
