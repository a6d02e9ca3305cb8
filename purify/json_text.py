"""JSON as text, the same for the same value: what fields like `extra`, `tools` and `parts` hold."""

from __future__ import annotations

import json
from typing import Any

import orjson


def dump_json(value: object) -> str | None:
    """JSON text; None for nothing (None or an empty container).

    Raises `TypeError` for what JSON cannot hold, such as the bytes of a Parquet row.
    """
    if value is None or value == {} or value == []:
        return None
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False)  # integers past 64 bits


def arguments_object(text: str | None, *, constants: bool = False) -> dict[str, Any] | None:
    """Arguments of a call as an object; None if they are none.

    Null, and nothing, are an empty one: models write so for a tool without parameters. `constants`: NaN and Infinity,
    which are not JSON but which Python agents write, are read too.
    """
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=None if constants else _refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
