"""The host's ends of a program's pipes. They never block the host, and what they keep is bounded."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections.abc import Callable

FLOOD = 16
"""A program that writes this many times what is kept is stopped."""


class Capture:
    """Reads a pipe as it fills, keeps the first `keep` bytes and counts the rest."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._kept = bytearray()
        self._keep = self._seen = 0
        self._on_flood: Callable[[], None] | None = None

    def start(self, keep: int, on_flood: Callable[[], None]) -> None:
        self._kept, self._seen, self._keep, self._on_flood = bytearray(), 0, keep, on_flood
        self._loop.add_reader(self._fd, self._read)

    def finish(self) -> str:
        """What was written until now, decoded; a cut is marked at its end."""
        while self._read():
            pass
        self._loop.remove_reader(self._fd)
        return _decode(bytes(self._kept), self._seen - len(self._kept))

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _read(self) -> bool:
        """Take what is there, at most one pipe's content. Returns whether there may be more."""
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._fd)
            return False
        self._seen += len(data)
        self._kept += data[: self._keep - len(self._kept)]
        if self._seen > FLOOD * self._keep:
            self._loop.remove_reader(self._fd)  # a full pipe holds the writer until it is stopped
            if self._on_flood is not None:
                self._on_flood()
            return False
        return True


class Feeder:
    """Writes a program's standard input as fast as it is read, and forgets the rest when nobody reads."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._loop = asyncio.get_running_loop()
        self._left = memoryview(b"")

    def start(self, text: str) -> None:
        self._left = memoryview(text.encode("utf-8", "replace"))
        self._write()
        if self._fd >= 0:
            self._loop.add_writer(self._fd, self._write)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _write(self) -> None:
        with contextlib.suppress(BlockingIOError):
            try:
                while self._left:
                    self._left = self._left[os.write(self._fd, self._left) :]
            except BrokenPipeError:
                pass
            self.close()


def cut_output(text: str, keep_kb: int) -> str:
    """The first `keep_kb` KiB of a text that is already here, with the mark that a cut leaves."""
    raw = text.encode("utf-8", "replace")
    return _decode(raw[: keep_kb << 10], len(raw) - (keep_kb << 10))


def _decode(kept: bytes, cut: int) -> str:
    if cut <= 0:
        return kept.decode("utf-8", "replace")
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(kept)  # no mark for a character cut in half
    return f"{text}\n[{cut} more bytes of output were cut]\n"
