"""One record out of JSON text: what stands at the bottom of every kind of file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RECORD_BYTES = 512 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
HALF_PAIR = "a string holds half a surrogate pair, which is not text; write U+FFFD instead"


@dataclass(frozen=True, slots=True)
class Read:
    """One record, or why there is none. `row` is the line for JSON lines, else the position; from 0."""

    row: int
    record: Mapping[str, Any] | None
    raw: bytes | None
    problem: str | None = None


def parse(raw: bytes, row: int, *, as_messages: bool = False) -> Read:
    """Parse one JSON object. NaN and infinities, which are not JSON, are read as strings and so stay in `extra`.

    `as_messages`: the text is one bare list of chat messages, read as the record `{"messages": [...]}`.
    """
    if len(raw) > MAX_RECORD_BYTES:
        return Read(row, None, None, f"record of {len(raw):,} bytes, more than {MAX_RECORD_BYTES:,}; split it")
    raw = raw.removeprefix(BYTE_ORDER_MARK)

    def read(value: Any) -> Read:
        return element({"messages": value} if as_messages else value, row, raw)

    try:
        return read(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        problem = f"not JSON: {error}"
    try:
        return whole_text(read(lenient(raw)))
    except UnicodeDecodeError as broken:
        problem = f"not UTF-8 (byte {broken.start})"
    except RecursionError:
        problem = "JSON nested too deeply"
    except ValueError:
        pass
    return Read(row, None, raw, problem)


def lenient(content: bytes) -> Any:
    """JSON with NaN and infinities, as Python's own writer makes it; they become strings."""
    return json.loads(content, parse_constant=str)


def element(record: object, row: int, raw: bytes | None = None) -> Read:
    if not isinstance(record, dict):
        kind = {"list": "list", "str": "string", "NoneType": "null"}.get(type(record).__name__, "plain value")
        problem = f"a record must be a JSON object, this is a {kind}"
        return Read(row, None, raw or dump_record(record), problem)
    return Read(row, record, raw)


def whole_text(read: Read) -> Read:
    """A half surrogate pair passes Python's parsers, but no file of ours could hold it."""
    try:
        json.dumps(read.record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Read(read.row, None, read.raw or dump_record(read.record), HALF_PAIR)
    return read


def dump_record(record: object) -> bytes | None:
    """A parsed record as JSON again, for keeping aside; None where even that cannot be."""
    for dump in (orjson.dumps, json.dumps):
        try:
            text = dump(record, default=str)
        except (TypeError, ValueError, RecursionError):
            continue
        return text if isinstance(text, bytes) else text.encode()
    return None
