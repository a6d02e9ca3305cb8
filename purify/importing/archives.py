"""What a ZIP archive says about its size before anything in it is unpacked.

A few kilobytes can unpack to more than the memory of a machine. The directory of an archive tells the size of every
member, so an archive that is made so, or holds a member too large to read at once, can be refused unread.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from purify.importing.json_records import MAX_RECORD_BYTES

PLAIN_BYTES = 16 * 2**20
"""Up to this size it does not matter how far a member is compressed."""
MAX_RATIO = 300
"""Logs of agents, which say much of their text again and again, are compressed to a tenth or a fiftieth."""


def refusal(path: Path, *, max_bytes: int = MAX_RECORD_BYTES) -> str | None:
    """Why this archive must not be unpacked; None where nothing is wrong, or where it is no archive at all.

    `max_bytes` bounds each member.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # what reads it says what is wrong with it
    for member in members:
        if member.file_size > max_bytes:
            return f"{member.filename} in it unpacks to {member.file_size:,} bytes, more than {max_bytes:,}"
        if member.file_size > max(PLAIN_BYTES, MAX_RATIO * member.compress_size):
            return (
                f"{member.filename} in it unpacks to {member.file_size:,} bytes out of {member.compress_size:,}, which"
                " no log does; unpack it and look at it"
            )
    return None
