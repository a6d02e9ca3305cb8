"""Which Python exception ends a text.

Three forms are understood: the plain interpreter's traceback, IPython's (dashes, `NameError   Traceback (most recent
call last)`, frames with `----> 1`), and a bare last line such as `NameError: name 'x' is not defined`, which is all
that syntax errors and terse interpreters leave. The last traceback of a chain counts.

A bare line that the model's own `except` block printed looks the same as one that ended the program: both count. A
traceback that other output follows does not end the text: it may have been caught, or come from another stream.
`EndingException.ends` says which it was. An indented or line-numbered traceback is a quotation and is ignored.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_HEADER = "Traceback (most recent call last)"
_MESSAGE_LINES = 20
"""An exception's message may go on for this many lines; a traceback further up is something the tool showed."""
_LONGEST_NAME = 200

_IPYTHON_PREFIX = re.compile(r"(?:.*-{5,})? ?([A-Za-z_]\w*)\s{2,}")
_EXCEPTION_LINE = re.compile(r"([A-Za-z_]\w*(?:\.(?:\w+|<\w+>))*)(?::(?:\s+(.*))?)?\s*")
# Case and ending tell `ValueError: x` from prose such as `Mean error: 0.3` or `Total: 4`.
_BARE_NAME = re.compile(
    r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)|(?:\w+\.)+[Ee]rror"
    r"|(?:\w+\.)*(?:KeyboardInterrupt|StopIteration|TimeoutExpired)"
)
_ALONE = frozenset({"KeyboardInterrupt", "TimeoutError"})
_NUMBER = re.compile(r"\s*[-+]?[\d.,]+(?:[eE][-+]?\d+)?\s*%?\s*")
_GROUP_END = re.compile(r"\s*\+-+")


class EndingException(NamedTuple):
    name: str | None
    """Class name without its module, as IPython prints it; None where the text was cut before the name."""
    ends: bool
    """False if up to 20 lines of other output follow the traceback."""


def ending_exception(text: str, last_line: str) -> EndingException | None:
    """Return the exception at the end of a text, or None. `text` is stripped and `last_line` is its last line."""
    at = text.rfind(_HEADER)
    if at >= 0:
        found = _from_traceback(text, at, last_line)
        if found is not None:
            return found
    return _bare(last_line)


def short_name(name: str) -> str:
    """`sympy.core.sympify.SympifyError` -> `SympifyError`; `binascii.Error` says nothing without its module."""
    parts = name.split(".")
    return ".".join(parts[-2:]) if parts[-1] in ("Error", "error") else parts[-1]


def _bare(line: str) -> EndingException | None:
    if line in _ALONE:
        return EndingException(line, ends=True)
    colon = line.find(":", 0, _LONGEST_NAME)
    if colon <= 0 or not _BARE_NAME.fullmatch(line, 0, colon) or line[colon + 1 : colon + 2] not in ("", " "):
        return None
    name = short_name(line[:colon])
    # `RelativeError: 0.01` is a printed measure; only a KeyError has a number for its message.
    if name != "KeyError" and _NUMBER.fullmatch(line, colon + 1):
        return None
    return EndingException(name, ends=True)


def _from_traceback(text: str, at: int, last_line: str) -> EndingException | None:
    line_start = max(text.rfind("\n", 0, at) + 1, at - _LONGEST_NAME)
    prefix = text[line_start:at]
    lines = text[at + len(_HEADER) :].split("\n")
    if match := _IPYTHON_PREFIX.fullmatch(prefix):
        return _ipython(match[1], lines)
    if prefix.lstrip().startswith(("|", "+")):
        return EndingException("ExceptionGroup", ends=True) if _GROUP_END.fullmatch(last_line) else None
    if prefix and prefix.isspace():
        return None
    found = _plain(lines, cut=not prefix)
    # Python writes "Exception ignored in: ..." above a traceback that stopped nothing.
    if found is not None and text.startswith("Exception ignored", text.rfind("\n", 0, max(line_start - 1, 0)) + 1):
        return found._replace(ends=False)
    return found


def _ipython(name: str, lines: list[str]) -> EndingException | None:
    for number in range(len(lines) - 1, 0, -1):
        line = lines[number].removeprefix(" ")
        if line.startswith(name) and (match := _EXCEPTION_LINE.fullmatch(line)) and match[1] == name:
            # Nothing runs in a cell after its traceback: what follows is the message.
            return EndingException(name, ends=True) if _follow(lines, number + 1) is not None else None
    return EndingException(name, ends=True)  # the environment cut the text inside the traceback


def _plain(lines: list[str], *, cut: bool) -> EndingException | None:
    if not lines[0].startswith(":"):
        return None
    number = next((n for n, line in enumerate(lines) if n and line.strip() and not line[0].isspace()), None)
    if number is None:
        return EndingException(None, ends=True) if cut and len(lines) > 1 else None
    line = lines[number]
    match = _EXCEPTION_LINE.fullmatch(line)
    if match is None:
        dots = cut and number == len(lines) - 1 and (line.startswith("...") or line.endswith("..."))
        return EndingException(None, ends=True) if dots else None
    following = _follow(lines, number + 1)
    if following is None:
        return None
    # A message of several lines either starts on the line below the name, or indents or brackets its other lines.
    message = not following or not match[2] or all(line[0] in " \t[(^~" for line in following)
    return EndingException(short_name(match[1]), ends=message)


def _follow(lines: list[str], start: int) -> list[str] | None:
    """The non-blank lines from `start` on, or None if they are more than a message."""
    following: list[str] = []
    for number in range(start, len(lines)):
        if lines[number].strip():
            following.append(lines[number])
            if len(following) > _MESSAGE_LINES:
                return None
    return following
