"""A kernel cell as text becomes a syntax tree. Nothing is executed.

IPython is not needed: like it, leading blank lines and a common indent are dropped before parsing. Where a cell does
not parse, lines that start with `%` or `!` or end with `?` are taken as magics.

Try it: `python -c "from purify.saar.kernel.cells import parse; print(parse('%time\\nx = 1').magics)"`
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

from purify.saar.kernel.scopes import Comprehension, walk

# What the parser raises on text that a model wrote: bad syntax, NUL bytes and lone surrogates, nesting, huge inputs.
_PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_MAGIC = re.compile(r"(\s*)((?:[\w.,\s\[\]]+=\s*)?[%!].*|\?.*|[\w.%]+\?{1,2}\s*)")


@dataclass(frozen=True, slots=True)
class Cell:
    tree: ast.Module
    lines: tuple[str, ...]
    leading_blank: int
    """Blank lines dropped at the top: plain Python counts them, IPython does not."""
    magics: dict[int, str]
    """Line to what only IPython runs: `%matplotlib`, a top-level `await`. In the tree a magic is `pass`."""


@lru_cache(maxsize=512)
def parse(code: str) -> Cell | None:
    """The cell, or None where it is not Python even without magics. Cached: edit after edit asks for the same cells."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blank = next((i for i, line in enumerate(lines) if line.strip()), 0)
    lines = lines[blank:]
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    lines = [line.removeprefix(indent) for line in lines]
    magics: dict[int, str] = {}
    tree = _tree("\n".join(lines))
    if tree is None:
        bare = list(lines)
        for i, line in enumerate(lines):
            if found := _MAGIC.fullmatch(line):
                magics[i + 1] = found[2].split()[0]
                bare[i] = f"{found[1]}pass"
        tree = _tree("\n".join(bare)) if magics else None
    if tree is None:
        return None
    if "await" in code or "async" in code:
        for node, scope in walk(tree):
            if scope is None and _is_async(node):
                magics.setdefault(getattr(node, "lineno", 1), "await")
    return Cell(tree, tuple(lines), blank, magics)


def is_python(code: str) -> bool:
    """Whether the text parses exactly as it stands, with no magics."""
    return _tree(code) is not None


def _tree(source: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            # A bad escape in the model's string is no concern of ours, and -W error would turn it into a SyntaxError.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except _PARSE_ERRORS:
        return None


def _is_async(node: ast.AST) -> bool:
    if isinstance(node, Comprehension):
        return any(generator.is_async for generator in node.generators)
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith)
