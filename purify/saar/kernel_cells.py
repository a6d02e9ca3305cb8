"""A kernel cell as syntax: its tree, and the names its functions take from outside. Nothing is executed.

IPython is not needed: like it, leading blank lines and a common indent are dropped before parsing, and lines that start with
`%` or `!` or end with `?` count as magics where the cell does not parse with them.

Try it: `python -c "from purify.saar.kernel_cells import parse; print(parse('%time\\nx = 1').magics)"`
"""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scoped = Function | ast.Lambda | ast.ClassDef | Comprehension
_COMPREHENSIONS = {"ListComp": "listcomp", "SetComp": "setcomp", "DictComp": "dictcomp", "GeneratorExp": "genexpr"}
# The parts of a function, lambda or class that run outside it.
_HEADER = ("decorator_list", "args", "returns", "bases", "keywords")
_NO_NODES = frozenset(["attr", "ctx", "id", "op", "ops"])
# What the parser raises on text that a model wrote: bad syntax, NUL bytes and lone surrogates, nesting, huge inputs.
_PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_MAGIC = re.compile(r"(\s*)((?:[\w.,\s\[\]]+=\s*)?[%!].*|\?.*|[\w.%]+\?{1,2}\s*)")


@dataclass(frozen=True, slots=True)
class Scope:
    """What one function, lambda, class or comprehension (with all inside it) does to names of the module."""

    now: frozenset[str]
    """Names read as soon as execution meets it: a class body, a comprehension."""
    later: frozenset[str]
    """All names read, at the latest when it is called."""
    stores: frozenset[str]
    """Names bound through `global` or a walrus in a comprehension."""


@dataclass(frozen=True, slots=True)
class Cell:
    tree: ast.Module
    scopes: dict[tuple[str, int], Scope]
    lines: tuple[str, ...]
    magics: dict[int, str]
    """Line number to magic, e.g. {1: '%matplotlib'}. In the tree these lines are `pass`."""
    leading_blank: int
    """Blank lines dropped at the top: IPython does not count them, plain Python does."""

    def scope(self, node: Scoped) -> Scope:
        return self.scopes[_scope_key(node)]


@lru_cache(maxsize=1024)
def parse(code: str) -> Cell | None:
    """The cell, or None where it is not Python even without its magics. Cached: a trajectory asks for each cell many times."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blank = next((i for i, line in enumerate(lines) if line.strip()), 0)
    lines = lines[blank:]
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    lines = [line.removeprefix(indent) for line in lines]
    magics: dict[int, str] = {}
    parsed = _parse("\n".join(lines))
    if parsed is None:
        bare = list(lines)
        for i, line in enumerate(lines):
            if found := _MAGIC.fullmatch(line):
                magics[i + 1] = found[2].split()[0]
                bare[i] = f"{found[1]}pass"
        parsed = _parse("\n".join(bare)) if magics else None
    if parsed is None:
        return None
    return Cell(parsed[0], _scopes(parsed[1]), tuple(lines), magics, blank)


def is_python(code: str) -> bool:
    """Whether the text parses exactly as it stands, with no magics."""
    return _parse(code) is not None


def walk(root: ast.AST, cell: Cell) -> Iterator[tuple[ast.AST, Scope | None]]:
    """Every node from `root` down in source order, with the outermost scope it is in: None is the module itself.

    The first iterable of a comprehension runs outside it and comes twice, once each way. Contexts and operators are left out.
    """
    stack: list[tuple[ast.AST, Scope | None]] = [(root, None)]
    while stack:
        node, scope = stack.pop()
        yield node, scope
        if scope is None and isinstance(node, Scoped):
            inside = cell.scope(node)
            if isinstance(node, Comprehension):
                below = [(child, inside) for child in _children(node)]
                below.insert(0, (node.generators[0].iter, None))
            else:
                header = [child for field in _HEADER for child in _children(node, [field])]
                body = [child for child in _children(node) if child not in header]
                below = [*((child, None) for child in header), *((child, inside) for child in body)]
        else:
            below = [(child, scope) for child in _children(node)]
        below.reverse()
        stack += below


def _children(node: ast.AST, fields: Sequence[str] | None = None) -> list[ast.AST]:
    found: list[ast.AST] = []
    for field in node._fields if fields is None else fields:
        if field in _NO_NODES:
            continue
        value = getattr(node, field, None)
        if isinstance(value, ast.AST):
            found.append(value)
        elif isinstance(value, list):
            found += [item for item in value if isinstance(item, ast.AST)]
    return found


def _parse(source: str) -> tuple[ast.Module, symtable.SymbolTable] | None:
    try:
        with warnings.catch_warnings():
            # A bad escape in the model's string is no concern of ours, and -W error would turn it into a SyntaxError.
            warnings.simplefilter("ignore")
            return ast.parse(source), symtable.symtable(source, "<cell>", "exec")
    except _PARSE_ERRORS:
        return None


def _scopes(module: symtable.SymbolTable) -> dict[tuple[str, int], Scope]:
    scopes: dict[tuple[str, int], Scope] = {}
    for table in module.get_children():
        below = list(_tables(table))
        inner = [t for t in table.get_children() if t.get_name() in _COMPREHENSIONS.values()]
        if table.get_type() == "class":
            runs_now = [table, *inner]
        else:
            runs_now = below if table.get_name() in _COMPREHENSIONS.values() else []
        scope = Scope(
            frozenset(s.get_name() for t in runs_now for s in t.get_symbols() if s.is_global() and s.is_referenced()),
            frozenset(s.get_name() for t in below for s in t.get_symbols() if s.is_global() and s.is_referenced()),
            frozenset(
                s.get_name() for t in below for s in t.get_symbols() if s.is_declared_global() and s.is_assigned()
            ),
        )
        key = (table.get_name(), table.get_lineno())
        if twin := scopes.get(key):  # two lambdas on one line cannot be told apart
            scope = Scope(scope.now | twin.now, scope.later | twin.later, scope.stores | twin.stores)
        scopes[key] = scope
    return scopes


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _scope_key(node: Scoped) -> tuple[str, int]:
    if isinstance(node, Function | ast.ClassDef):
        return node.name, node.lineno
    return _COMPREHENSIONS.get(type(node).__name__, "lambda"), node.lineno
