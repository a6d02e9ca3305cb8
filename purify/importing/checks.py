"""Type checks on foreign JSON: what cannot be used becomes a rejection that names the place and the kind.

messages[3].content is a number, expected a string, null or a list of parts
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from purify.errors import RejectedRecordError
from purify.json_text import dump_json

_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def wrong(path: str, value: object, expected: str) -> RejectedRecordError:
    """The error to raise where `value` at `path` is not what the format says."""
    kind = "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")
    return RejectedRecordError(f"{path} is {kind}, expected {expected}")


def as_object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(path, value, "an object")
    return value


def as_list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise wrong(path, value, "a list")
    return value


def string(owner: Mapping[str, Any], key: str, path: str) -> str:
    """A member that must be there and be a string."""
    if key not in owner:
        raise RejectedRecordError(f"{path}.{key} is missing")
    if not isinstance(value := owner[key], str):
        raise wrong(f"{path}.{key}", value, "a string")
    return value


def optional_string(owner: Mapping[str, Any], key: str, path: str) -> str | None:
    value = owner.get(key)
    if value is not None and not isinstance(value, str):
        raise wrong(f"{path}.{key}", value, "a string or null")
    return value


def identifier(owner: Mapping[str, Any], key: str, path: str) -> str | None:
    """An id. Some writers number their calls, so a whole number is read as its digits."""
    value = owner.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return optional_string(owner, key, path)


def number(value: object) -> float | None:
    """A finite number (booleans are none), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def token_ids(value: object, path: str) -> list[int]:
    """A list of token ids; null is an empty one. Raises `RejectedRecordError` naming the place that is none."""
    ids = [] if value is None else as_list(value, path)
    for position, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < 2**31:
            raise wrong(f"{path}[{position}]", token, "a token id")
    return ids


def json_text(value: object, path: str) -> str | None:
    """`dump_json`, with a rejection for what JSON cannot hold (bytes of a Parquet row, integers past 64 bits)."""
    try:
        return dump_json(value)
    except TypeError as error:
        raise RejectedRecordError(f"{path} cannot be written as JSON: {error}") from None


def leftover(owner: Mapping[str, Any], understood: Collection[str]) -> dict[str, Any]:
    """The members an importer did not read, for `extra`."""
    return {key: value for key, value in owner.items() if key not in understood}
