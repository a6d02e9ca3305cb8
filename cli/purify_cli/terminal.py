"""Print text that others wrote: no escape sequence, markup or control character of theirs reaches the terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

# Colours (CSI), titles and other strings (OSC, DCS, ...) that are closed on their line, two-character escapes. A string
# that is never closed must not hide what follows.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
)
# Bidirectional overrides and separators show text in another order or place than it is stored; fillers and tags do not
# show at all.
_INVISIBLE = re.compile(r"[\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\u115f\u1160\u3164\uffa0\U000e0000-\U000e0fff]")
_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"}
_CONTROLS |= {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)


def plain(text: str) -> str:
    """Text without escape sequences; other control characters become visible signs (NUL is ␀), line ends are one."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("\ufffd", text).translate(_CONTROLS)


def one_line(text: str, width: int) -> str:
    """Plain text on one line of at most `width` characters."""
    line = " ".join(plain(text[: width * 8]).split())
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def shorten(text: str, lines: int | None, *, width: int = 240) -> str:
    """Plain text of at most `lines` lines, the middle left out: the end of a traceback says most. None: all."""
    text = plain(text).strip("\n")
    if lines is None:
        return text
    found = text.split("\n")
    if len(found) > lines:
        head = lines // 2
        tail = lines - head - 1
        found = [*found[:head], f"… {len(found) - head - tail:,} lines", *found[len(found) - tail :]]
    return "\n".join(
        line if len(line) <= width else f"{line[:width]}… {len(line) - width:,} characters" for line in found
    )


def console() -> Console:
    """A console that takes text as it is (no markup) and leaves a closed pipe to `main.run`."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> NoReturn:
            raise BrokenPipeError

    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that is not UTF-8 gets question marks instead of an error.
        sys.stdout.reconfigure(errors="replace")
    return _Console(markup=False, highlight=False, emoji=False)
