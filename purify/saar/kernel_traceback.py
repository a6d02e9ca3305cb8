"""Which line of a cell failed, read from the traceback text.

Understood: plain Python (`File "<stdin>", line 3, in <module>`) and the forms of IPython 7 and 8 (`Cell In[4], line 5`,
`Input In [3], in <cell line: 7>()`, `<ipython-input-4-abc> in <module>` with `----> 7 code`), with colours. The frame that
counts is the cell's own module-level one, in the last of several chained tracebacks. Where the traceback shows the line's text,
it must be the cell's text: harnesses put lines of their own before the code.

Try it: `python -c "from purify.saar.kernel_traceback import failing_line as f; print(f(('a', 'b'), 'Cell In[1], line 2'))"`
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_START = "Traceback (most recent call last)"
_FRAME = re.compile(
    r"Cell In ?\[\d+\], line (?P<cell>\d+)(?P<inner>, in (?!<module>|<cell line)[^\n]*)?"
    r"|Input In ?\[\d+\], in <(?:module>|cell line: \d+>)"
    r"|ipy(?:thon-input-[^\s>]+|kernel_\d+[/\\]\d+\.py)>? in <(?:module>|cell line: \d+>)"
    r"|File \"(?P<file>[^\"\n]+)\", line (?P<plain>\d+), in <module>(?:\n {4}(?P<text>[^\n]+))?"
)
_ARROW = re.compile(r"^-+> +(\d+)(?: (.*))?$", re.MULTILINE)


def failing_line(lines: Sequence[str], result: str | None, leading_blank: int = 0) -> int | None:
    """Number (from 1) of the line of the cell that failed, or None where the text does not tell.

    `lines` is the cell without the `leading_blank` blank lines at its top, which plain Python counts and IPython does not.
    """
    text = _ANSI.sub("", result or "").rpartition(_START)[2]
    unproven: int | None = None
    for frame in _FRAME.finditer(text):
        if frame["inner"]:
            continue
        if frame["plain"]:
            number, shown = int(frame["plain"]) - leading_blank, frame["text"]
            trusted = frame["file"].startswith("<") and not frame["file"].startswith("<frozen")
        else:
            arrow = _ARROW.search(text, frame.end())
            number = int(frame["cell"] or (arrow[1] if arrow else 0))
            shown, trusted = arrow[2] if arrow and int(arrow[1]) == number else None, True
        if shown:
            if (line := _same_text(lines, number, shown)) is not None:
                return line
        elif trusted and unproven is None and 1 <= number <= len(lines):
            unproven = number
    return unproven


def _same_text(lines: Sequence[str], number: int, shown: str) -> int | None:
    wanted = shown.split()
    if 1 <= number <= len(lines) and lines[number - 1].split() == wanted:
        return number
    same = [i for i, line in enumerate(lines, start=1) if line.split() == wanted]
    return same[0] if len(same) == 1 else None
