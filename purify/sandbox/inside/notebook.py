"""A stateful interpreter: cells share one `__main__`, and the value of a cell's last expression is shown."""

from __future__ import annotations

import ast
import linecache
import sys
import traceback
from types import TracebackType

from purify.sandbox.inside.program import Ended, attempt, flush, new_main


class Notebook:
    """The cells run so far, as the names that they left."""

    def __init__(self) -> None:
        self._main = new_main()
        self._cells = 0
        sys.excepthook = _show_with_lines

    def run(self, code: str) -> Ended:
        """Run one cell. An exception ends the cell and keeps the names."""
        self._cells += 1
        file = f"<cell {self._cells}>"
        source = code.encode("utf-8", "surrogatepass")
        text = source.decode("utf-8", "replace") + "\n"  # carets are placed by it
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        parts = _split(source, file)
        ended = Ended(None, 0)
        for part, mode in parts:
            ended = attempt(part, file, mode, vars(self._main))
            if ended.error_type is not None:
                break
        flush()
        return ended


def _split(source: bytes, file: str) -> list[tuple[ast.AST | bytes, str]]:
    """Statements, then the last expression by itself: compiled as `single`, it goes through `sys.displayhook`."""
    try:
        tree = ast.parse(source, file)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [(source, "exec")]  # compiling it again raises where errors are shown
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return [(tree, "exec")]
    last = tree.body.pop()
    return [(tree, "exec"), (ast.Interactive([last]), "single")]


def _show_with_lines(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The interpreter's own hook reads lines from files only; cells are none."""
    traceback.print_exception(kind, error, trace)
