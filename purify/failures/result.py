"""A tool result as the rules see it: escapes removed, the environment's own lines set aside, JSON parsed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from purify.failures.tracebacks import EndingException, ending_exception

WINDOW = 2000
"""How many characters a test of the start, of the last line or of a whole short result sees."""
WRAPPING_LINES = 20

# Colours and cursor moves, and the window titles that terminals set.
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*\x07")


class Wrapping:
    """Whole lines that an environment puts around what the tool printed, such as a step count or a prompt."""

    __slots__ = ("_first", "_last")

    def __init__(self, first: Sequence[str], last: Sequence[str]) -> None:
        self._first = _any_of(first)
        self._last = _any_of(last)

    def unwrap(self, text: str) -> tuple[str, str]:
        """Split into what the tool printed and the lines around it, of which 20 are taken off on either side."""
        aside: list[str] = []
        for _ in range(WRAPPING_LINES):
            start = text.rfind("\n") + 1
            if not text or len(text) - start > WINDOW or not self._last.fullmatch(text, start):
                break
            aside.append(text[start:])
            text = text[:start].rstrip()
        for _ in range(WRAPPING_LINES):
            end = text.find("\n", 0, WINDOW) if "\n" in text else len(text)
            if not text or end < 0 or not self._first.fullmatch(text, 0, end):
                break
            aside.append(text[:end])
            text = text[end:].lstrip()
        return text, "\n".join(aside)


class Result:
    """One result. `text` is stripped; `fields` is set where it is a JSON object."""

    __slots__ = ("exception", "fields", "last_line", "text", "wrapping")

    def __init__(self, text: str, wrapping: Wrapping) -> None:
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        self.text, self.wrapping = wrapping.unwrap(text.strip())
        self.last_line: str = self.text[self.text.rfind("\n") + 1 :]
        self.exception: EndingException | None = ending_exception(self.text, self.last_line)
        self.fields: dict[str, Any] | None = _parse(self.text) if self.text.startswith("{") else None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        if "NaN" not in text and "Infinity" not in text:
            return None
        try:
            value = json.loads(text)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def _any_of(lines: Sequence[str]) -> re.Pattern[str]:
    # An empty character class matches nothing: no line is set aside.
    return re.compile("|".join(f"(?:{line})" for line in lines) + r"\s*" if lines else "[^\\s\\S]")
