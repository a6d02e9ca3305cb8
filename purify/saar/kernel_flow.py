"""Which names a kernel cell reads before it has certainly bound them, in the order of execution.

Certain is what no branch can skip: a binding inside `for`, `while`, `match` or in only some branches of `if` and `try` counts
inside its own branch alone. What a function reads counts where the function is named, not where it is defined.

Try it: `python -c "from purify.saar.kernel_flow import *; print(flow(parse('def f(): return k\\nk = 1\\nf()'), {}))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from purify.saar.kernel_cells import Cell, Scoped, parse, walk
from purify.saar.kernel_effects import bindings

__all__ = ["Flow", "Reads", "flow", "parse"]

Reads = dict[str, frozenset[str]]
"""A function (a class, an object made by calling one) to the names of the module that its code may read."""

_SWALLOW = frozenset(["assertRaises", "raises", "suppress"])
# Builtins that the star imports people write (numpy, sympy, math) leave alone.
_PLAIN_BUILTINS = frozenset(
    "bool dict enumerate filter float int isinstance len list map print range set sorted str tuple type zip".split()
)


class Flow(NamedTuple):
    reads: frozenset[str] = frozenset()
    """Names read before they are certainly bound."""
    binds: frozenset[str] = frozenset()
    """Names certainly bound or deleted when all has run."""


def flow(cell: Cell, functions: Reads, stars: Mapping[str, frozenset[str]] | None = None) -> Flow:
    """Flow of a whole cell.

    `functions` knows those of earlier cells and takes in this cell's. `stars`: the star imports that matter (`from m import *`),
    each with names that it surely binds; one counts as read where a name is read that it may have brought.
    """
    walker = _Walker(cell, functions, stars or {})
    reads: set[str] = set()
    binds: set[str] = set()
    for statement in cell.tree.body:
        found = walker.statement(statement, certain=True)
        new = found.reads - binds
        if new - _PLAIN_BUILTINS:
            new |= walker.stars.keys() - binds
        reads |= new
        binds |= found.binds
    return Flow(frozenset(reads), frozenset(binds))


class _Walker:
    def __init__(self, cell: Cell, functions: Reads, stars: Mapping[str, frozenset[str]]) -> None:
        self.cell = cell
        self.functions = functions
        self.stars = stars

    def statement(self, node: ast.stmt, certain: bool = False) -> Flow:
        match node:
            case ast.If():
                return _in_order(self.read(node.test), _either([self.block(node.body), self.block(node.orelse)]))
            case ast.For() | ast.AsyncFor():
                loop = _in_order(self.read(node.iter), _perhaps(_in_order(_target(node.target), self.block(node.body))))
                return _in_order(self.read(node.target), loop, _perhaps(self.block(node.orelse)))
            case ast.While():
                return _in_order(
                    self.read(node.test), _perhaps(self.block(node.body)), _perhaps(self.block(node.orelse))
                )
            case ast.With() | ast.AsyncWith():
                heads = [f for i in node.items for f in (self.read(i.context_expr), _target(i.optional_vars))]
                body = self.block(node.body)
                return _in_order(*heads, _perhaps(body) if _swallows(node) else body)
            case ast.Try() | ast.TryStar():
                return self.attempt(node)
            case ast.Match():
                return _in_order(self.read(node.subject), _perhaps(_either([self.case(case) for case in node.cases])))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                head, later = self.read(node), self.cell.scope(node).later
                self.define(node.name, later, certain)
                # A decorator may call it at once.
                called = Flow(self.expand(later)) if node.decorator_list else Flow()
                return _in_order(head, Flow(binds=frozenset([node.name])), called)
            case ast.Import() | ast.ImportFrom():
                names = {found.name for found in bindings(node, self.cell)}
                return Flow(binds=frozenset(names.union(*(self.stars.get(name, ()) for name in names))))
            case ast.Assign():
                return _in_order(self.assigned(node, certain), self.read(*node.targets), _target(*node.targets))
            case ast.AnnAssign():
                return _in_order(self.read(node), _target(node.target) if node.value else Flow())
            case ast.AugAssign():
                old = [node.target.id] if isinstance(node.target, ast.Name) else []
                return _in_order(Flow(self.expand(old)), self.read(node), _target(node.target))
            case ast.Delete():
                return _in_order(self.read(node), _target(*node.targets))
        return self.read(node)

    def block(self, statements: Iterable[ast.stmt]) -> Flow:
        return _in_order(*[self.statement(statement) for statement in statements])

    def attempt(self, node: ast.Try | ast.TryStar) -> Flow:
        ways = [_in_order(self.block(node.body), self.block(node.orelse))]
        for handler in node.handlers:
            bound = Flow(binds=frozenset([handler.name] if handler.name else []))
            caught = _in_order(self.read(handler.type), bound, self.block(handler.body))
            # A handler that raises again leads nowhere.
            ways.append(Flow(caught.reads, ways[0].binds) if isinstance(handler.body[-1], ast.Raise) else caught)
        tried, final = _either(ways), self.block(node.finalbody)
        return Flow(tried.reads | final.reads, tried.binds | final.binds)

    def case(self, case: ast.match_case) -> Flow:
        return _in_order(self.read(case.pattern), _target(case.pattern), self.read(case.guard), self.block(case.body))

    def assigned(self, node: ast.Assign, certain: bool) -> Flow:
        """The right side; what is now known of a name that holds a function or an object made by calling one."""
        name = node.targets[0].id if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) else None
        match node.value:
            case ast.Lambda() if name:
                self.define(name, self.cell.scope(node.value).later, certain)
                return self.read(node.value.args)
            case ast.Name(id=source) | ast.Call(func=ast.Name(id=source)) if name and source in self.functions:
                self.define(name, self.functions[source], certain)
            case _ if name and certain:
                self.functions.pop(name, None)
        return self.read(node.value)

    def define(self, name: str, reads: frozenset[str], certain: bool) -> None:
        self.functions[name] = reads if certain else reads | self.functions.get(name, frozenset())

    def read(self, *nodes: ast.AST | None) -> Flow:
        """Names that these expressions read at once. Functions and classes: their decorators, defaults, class bodies."""
        names: set[str] = set()
        for root in filter(None, nodes):
            for node, scope in walk(root, self.cell):
                if scope is not None:
                    continue
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, ast.Lambda):
                    names |= self.cell.scope(node).later
                elif isinstance(node, Scoped):
                    names |= self.cell.scope(node).now
        return Flow(self.expand(names))

    def expand(self, names: Iterable[str]) -> frozenset[str]:
        """With what the functions among them read, and so on."""
        queue = list(names)
        seen = set(queue)
        for name in queue:
            new = self.functions.get(name, frozenset()) - seen
            seen |= new
            queue.extend(new)
        return frozenset(seen)


def _target(*nodes: ast.AST | None) -> Flow:
    """Names that targets or a pattern bind."""
    names: set[str | None] = set()
    for node in (node for root in filter(None, nodes) for node in ast.walk(root)):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names.add(name)
            case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.MatchMapping(rest=name):
                names.add(name)
    return Flow(binds=frozenset(name for name in names if name))


def _in_order(*flows: Flow) -> Flow:
    reads: frozenset[str] = frozenset()
    binds: frozenset[str] = frozenset()
    for one in flows:
        reads |= one.reads - binds
        binds |= one.binds
    return Flow(reads, binds)


def _either(flows: Sequence[Flow]) -> Flow:
    return Flow(
        frozenset().union(*(one.reads for one in flows)), flows[0].binds.intersection(*(one.binds for one in flows))
    )


def _perhaps(one: Flow) -> Flow:
    return Flow(one.reads)


def _swallows(node: ast.With | ast.AsyncWith) -> bool:
    """Whether the context manager is one that goes on after an error in its body."""
    names = (
        n.id if isinstance(n, ast.Name) else getattr(n, "attr", "")
        for i in node.items
        for n in ast.walk(i.context_expr)
    )
    return not _SWALLOW.isdisjoint(names)
