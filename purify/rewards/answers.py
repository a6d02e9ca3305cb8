"""What counts as the answer within a final message."""

from __future__ import annotations

import re

_BOXED = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"(?<!\\)[{}]")
_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = frozenset({"python", "py", "python3", ""})


def last_boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{...}` that is closed, without it; None where there is none.

    >>> last_boxed(r"so \\boxed{\\frac{1}{2}}.")
    '\\\\frac{1}{2}'
    """
    starts = [match.end() for match in _BOXED.finditer(text)]
    for start in reversed(starts):
        depth = 1
        for brace in _BRACE.finditer(text, start):
            depth += 1 if brace.group() == "{" else -1
            if depth == 0:
                return text[start : brace.start()]
    return None


def normalised(text: str) -> str:
    """What `exact` compares: the last boxed content if there is one, else the text, without space around it."""
    boxed = last_boxed(text)
    return (text if boxed is None else boxed).strip()


def last_python_block(text: str) -> str:
    """The last fenced block of Python (or of no language); the whole text where there is none."""
    blocks = [match.group(2) for match in _FENCE.finditer(text) if match.group(1).lower() in _PYTHON]
    return blocks[-1] if blocks else text
