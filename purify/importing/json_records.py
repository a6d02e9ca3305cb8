"""One record out of JSON text: what stands at the bottom of every kind of file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_RECORD_BYTES = 512 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Read:
    """One record, or why there is none. `row` is the line for JSON lines, else the position; from 0."""

    row: int
    record: Mapping[str, Any] | None
    raw: bytes | None
    problem: str | None = None


def parse(raw: bytes, row: int) -> Read:
    """Parse one JSON object. NaN and infinities, which are not JSON, are read as strings and so stay in `extra`."""
    if len(raw) > MAX_RECORD_BYTES:
        return Read(row, None, None, f"record of {len(raw):,} bytes, more than {MAX_RECORD_BYTES:,}; split it")
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    try:
        return element(orjson.loads(raw), row, raw)
    except orjson.JSONDecodeError as error:
        problem = f"not JSON: {error}"
    try:
        return whole_text(element(lenient(raw), row, raw))
    except UnicodeDecodeError as broken:
        problem = f"not UTF-8 (byte {broken.start})"
    except RecursionError:
        problem = "JSON nested too deeply"
    except ValueError:
        pass
    return Read(row, None, raw, problem)


def parse_messages(raw: bytes) -> Read:
    """A file that is one bare list of chat messages, as the record `{"messages": [...]}`."""
    return parse(b'{"messages":' + raw.removeprefix(BYTE_ORDER_MARK) + b"}", 0)


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
    """A half surrogate pair passes Python's parser, but no file of ours could hold it."""
    try:
        json.dumps(read.record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raw = read.raw or json.dumps(read.record).encode()
        return Read(
            read.row, None, raw, "a string holds half a surrogate pair, which is not text; write U+FFFD instead"
        )
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
