"""Files that are one record: a session header, then a line for each message.

    {"type": "session", "harness": "my-agent", "id": "b1a2c3"}
    {"type": "message", "message": {"role": "user", "content": "What time is it?"}}

The record is `{"lines": [...]}`. Sessions without a `harness` are other agents' own formats and stay JSON lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from purify.importing.json_records import MAX_RECORD_BYTES, Read, parse

_TOO_LARGE = (
    f"session of more than {MAX_RECORD_BYTES:,} bytes, which is one record and read as a whole; leave out what is not"
    " text (pictures, files)"
)


def is_header(record: Mapping[str, Any] | None) -> bool:
    """Whether this first line of a file makes all of it one session."""
    return record is not None and record.get("type") == "session" and isinstance(record.get("harness"), str)


def read_session(path: Path) -> Read:
    """The record; a problem if one of its lines is no JSON object, since a session with a gap says something else."""
    if path.stat().st_size > MAX_RECORD_BYTES:
        return Read(0, None, None, _TOO_LARGE)
    content = path.read_bytes()
    lines = []
    for number, line in enumerate(content.split(b"\n")):
        if not line.strip():
            continue
        read = parse(line, number)
        if read.record is None:
            return Read(0, None, content, f"line {number + 1}: {read.problem}")
        lines.append(read.record)
    return Read(0, {"lines": lines}, content)
