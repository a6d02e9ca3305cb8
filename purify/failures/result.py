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
        while len(aside) < WRAPPING_LINES and self._last.fullmatch(text, start := text.rfind("\n") + 1):
            aside.append(text[start:])
            text = text[:start].rstrip()
        limit = len(aside) + WRAPPING_LINES
        while len(aside) < limit and self._first.fullmatch(text, 0, end := _line_end(text)):
            aside.append(text[:end])
            text = text[end:].lstrip()
        return text, "\n".join(aside)


class Result:
    """One result. `text` is stripped; `fields` is set where it is a JSON object."""

    __slots__ = ("_words", "exception", "fields", "last_line", "text", "wrapping")

    def __init__(self, text: str, wrapping: Wrapping) -> None:
        if "\x1b" in text:
            text = _ESCAPES.sub("", text)
        self.text, self.wrapping = wrapping.unwrap(text.strip())
        self.last_line: str = self.text[self.text.rfind("\n") + 1 :]
        self.exception: EndingException | None = ending_exception(self.text, self.last_line)
        self.fields: dict[str, Any] | None = _parse(self.text) if self.text.startswith("{") else None
        self._words: str | None = None

    def has_any(self, words: Sequence[str]) -> bool:
        """Whether one of these lower-case words is in what tests of start, last line and wrapping see."""
        seen = self._words
        if seen is None:
            seen = self.text if len(self.text) <= WINDOW else f"{self.text[:WINDOW]}\n{self.last_line[:WINDOW]}"
            seen = self._words = f"{seen}\n{self.wrapping}".lower() if self.wrapping else seen.lower()
        for word in words:  # noqa: SIM110 (any() is half as fast)
            if word in seen:
                return True
        return False


def _line_end(text: str) -> int:
    end = text.find("\n")
    return end if end >= 0 else len(text)


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
    return re.compile(f"(?:{'|'.join(lines)})\\s*" if lines else r"[^\s\S]")
