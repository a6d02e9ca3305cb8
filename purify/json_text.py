"""JSON as text, the same for the same value: what fields like `extra`, `tools` and `parts` hold."""

from __future__ import annotations

import json

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
