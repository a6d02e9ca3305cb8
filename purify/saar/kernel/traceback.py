"""How far a failed cell ran: the line that the traceback text points at, and the statements up to it.

Understood: plain Python (`File "<stdin>", line 3, in <module>`) and the forms of IPython 7 and 8 (`Cell In[4], line 5`,
`Input In [3], in <cell line: 7>()`, `<ipython-input-4-abc> in <module>` with `----> 7 code`), with colours. The frame
that counts is the cell's own module-level one, in the last of several chained tracebacks. Where the traceback shows the
line's text, it must be the cell's text: harnesses put lines of their own before the code.

Try it: `python -c "from purify.saar.kernel.traceback import *; print(failing_line(['a', 'b'], 'Cell In[1], line 2'))"`
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from purify.saar.kernel.cells import Cell
from purify.saar.kernel.scopes import Function

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(
    r"Cell In ?\[\d+\], line (?P<cell>\d+)(?P<inner>, in (?!<module>|<cell line)[^\n]*)?"
    r"|Input In ?\[\d+\], in <(?:module>|cell line: \d+>)"
    r"|ipy(?:thon-input-[^\s>]+|kernel_\d+[/\\]\d+\.py)>? in <(?:module>|cell line: \d+>)"
    r"|File \"(?P<file>[^\"\n]+)\", line (?P<plain>\d+), in <module>(?:\n {4}(?P<text>[^\n]+))?"
)
_ARROW = re.compile(r"^-+> +(\d+)(?: (.*))?$", re.MULTILINE)


def without_colours(result: str | None) -> str:
    return _ANSI.sub("", result or "")


def failing_line(lines: Sequence[str], result: str | None, leading_blank: int = 0) -> int | None:
    """Number (from 1) of the line of the cell that failed, or None where the text does not tell.

    `lines` is the cell without the `leading_blank` blank lines at its top: plain Python counts them, IPython does not.
    """
    text = without_colours(result).rpartition(TRACEBACK)[2]
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


def executed(cell: Cell, line: int | None) -> list[ast.AST]:
    """The parts of the cell that may have run when it failed at this line (None: not known).

    The failing statement counts as a whole where it is a loop, `try`, `with` or class, without its binding where it is
    a simple one, and up to the line where it is an `if`. Without a line all of it ran: what the tool calls an error may
    have come after the code.
    """
    parts = None if line is None else _until(cell.tree.body, line)
    return [*cell.tree.body] if parts is None else parts


def _until(body: Sequence[ast.stmt], line: int) -> list[ast.AST] | None:
    """None where no statement can have failed there: the line is no frame of this block after all."""
    ran = [statement for statement in body if (statement.end_lineno or statement.lineno) < line]
    failing = [s for s in body if _first_line(s) <= line <= (s.end_lineno or s.lineno)]
    if not failing or any(isinstance(s, Function) and line >= s.body[0].lineno for s in failing):
        return None
    return [*ran, *(_unfinished(failing[0], line) if len(failing) == 1 else failing)]


def _first_line(statement: ast.stmt) -> int:
    decorators = statement.decorator_list if isinstance(statement, Function | ast.ClassDef) else []
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _unfinished(statement: ast.stmt, line: int) -> list[ast.AST]:
    match statement:
        case ast.Assign(targets=targets, value=value) if all(map(_is_plain, targets)):
            return [value]
        case ast.AnnAssign(target=ast.Name(), value=ast.expr() as value):
            return [value]
        case ast.Import(names=names):
            return [ast.Import(names[:-1])]
        case ast.ImportFrom(module=module, names=names, level=level):
            return [ast.ImportFrom(module, names[:-1], level)]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*statement.decorator_list, statement.args]
        case ast.If(test=test, body=body, orelse=orelse):
            if line < _first_line(body[0]):
                return [test]
            branch = orelse if orelse and line >= _first_line(orelse[0]) else body
            parts = _until(branch, line)
            return [statement] if parts is None else [test, *parts]
    return [statement]


def _is_plain(target: ast.expr) -> bool:
    """Names, or one flat tuple of names: storing to these cannot fail half-way."""
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    return all(isinstance(part.value if isinstance(part, ast.Starred) else part, ast.Name) for part in parts)
