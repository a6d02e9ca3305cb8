"""Text between marks, found in time that is linear in the text whatever it repeats.

A pattern like `<a>(.*?)</a>` looks through all of the rest behind every `<a>` that is never closed.
"""

from __future__ import annotations

from collections.abc import Iterator


def enclosed(text: str, open: str, close: str) -> Iterator[tuple[int, int, str]]:
    """Where each pair of marks begins and ends, and what stands between; up to the first that is not closed."""
    at = 0
    while (start := text.find(open, at)) >= 0:
        inside = start + len(open)
        end = text.find(close, inside)
        if end < 0:
            return
        at = end + len(close)
        yield start, at, text[inside:end]
