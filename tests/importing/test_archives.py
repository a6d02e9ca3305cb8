"""Archives are refused by what their directory says, and anything else is left to what reads it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from purify.importing.archives import PLAIN_BYTES, refusal


def archive(path: Path, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as made:
        made.writestr("few", b"A" * 1000)  # compressed a lot, and harmless
        made.writestr("member", content)
    return path


def test_a_member_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", b"A" * 2000, zipfile.ZIP_STORED)
    assert refusal(path, max_bytes=2000) is None
    assert refusal(path, max_bytes=1999) == "member in it unpacks to 2,000 bytes, more than 1,999"


def test_a_member_compressed_too_far_is_refused_however_small_the_archive(tmp_path: Path) -> None:
    assert refusal(archive(tmp_path / "small.zip", b"A" * PLAIN_BYTES)) is None
    told = refusal(archive(tmp_path / "bomb.zip", b"A" * (PLAIN_BYTES + 1))) or ""
    assert told.startswith("member in it unpacks to 16,777,217 bytes out of 1")
    assert told.endswith(", which no log does; unpack it and look at it")
    assert refusal(archive(tmp_path / "stored.zip", b"A" * (PLAIN_BYTES + 1), zipfile.ZIP_STORED)) is None


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_what_is_no_archive_is_not_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert refusal(tmp_path / "x") is None
