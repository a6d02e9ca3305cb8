"""Which names a kernel cell reads before it has certainly bound them, in the order of execution.

Certain is what no branch can skip: a binding inside `for`, `while`, `match` or in only some branches of `if` and `try`
counts inside its own branch alone. What a function reads counts where the function is named, not where it is defined.

Try it: `python -c "import ast; from purify.saar.kernel.flow import *; print(flow(ast.parse('b = a; a = 1').body, {}))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from purify.saar.kernel.names import bindings, last_part, references
from purify.saar.kernel.scopes import Scoped, scope_of, walk

Reads = dict[str, frozenset[str]]
"""A function (or what may hold one) to the names of the module that its code may read."""

_SWALLOW = frozenset(["assertRaises", "raises", "suppress"])
# Builtins that the star imports people write (numpy, sympy, math) leave alone.
_PLAIN_BUILTINS = frozenset(
    ["bool", "dict", "enumerate", "filter", "float", "int", "isinstance", "len", "list", "map", "print", "range", "set",
     "sorted", "str", "tuple", "type", "zip"]
)  # fmt: skip


class Flow(NamedTuple):
    reads: frozenset[str] = frozenset()
    """Names read before they are certainly bound."""
    binds: frozenset[str] = frozenset()
    """Names certainly bound or deleted when all has run."""


def flow(statements: Iterable[ast.stmt], functions: Reads, stars: Mapping[str, frozenset[str]] | None = None) -> Flow:
    """Flow of the statements of a whole cell.

    `functions` knows those of earlier cells and takes in this cell's. `stars`: the star imports that matter
    (`from m import *`), each with names that it surely binds; one is read where a name is read that it may bring.
    """
    walker = _Walker(functions, stars or {})
    reads: set[str] = set()
    binds: set[str] = set()
    for statement in statements:
        found = walker.statement(statement, certain=True)
        new = found.reads - binds
        if new - _PLAIN_BUILTINS:
            new |= walker.stars.keys() - binds
        reads |= new
        binds |= found.binds
    return Flow(frozenset(reads), frozenset(binds))


class _Walker:
    def __init__(self, functions: Reads, stars: Mapping[str, frozenset[str]]) -> None:
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
                head, later = self.read(node), scope_of(node).later
                self.define(node.name, later, certain)
                # A decorator may call it at once.
                called = Flow(self.expand(later)) if node.decorator_list else Flow()
                return _in_order(head, Flow(binds=frozenset([node.name])), called)
            case ast.Import() | ast.ImportFrom():
                names = {found.name for found in bindings(node)}
                return Flow(binds=frozenset(names.union(*(self.stars.get(name, ()) for name in names))))
            case ast.Assign():
                right = self.assigned(node.targets, node.value, certain)
                return _in_order(right, self.read(*node.targets), _target(*node.targets))
            case ast.AnnAssign(value=ast.expr() as value):
                right = self.assigned([node.target], value, certain)
                return _in_order(right, self.read(node.target, node.annotation), _target(node.target))
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

    def assigned(self, targets: Sequence[ast.expr], value: ast.expr, certain: bool) -> Flow:
        """The right side. A name bound to it may hold any function named there, or an object that one made."""
        nodes = list(ast.walk(value))
        held = [scope_of(node).later for node in nodes if isinstance(node, ast.Lambda | ast.GeneratorExp)]
        held += [self.functions.get(node.id, frozenset()) for node in nodes if isinstance(node, ast.Name)]
        for target in targets:
            for name in references(target):
                self.define(name, frozenset().union(*held), certain and isinstance(target, ast.Name))
        # A lambda reads when it is called.
        return self.read(value.args if isinstance(value, ast.Lambda) else value)

    def define(self, name: str, reads: frozenset[str], certain: bool) -> None:
        self.functions[name] = reads if certain else reads | self.functions.get(name, frozenset())

    def read(self, *nodes: ast.AST | None) -> Flow:
        """Names that these nodes read at once; of functions and classes the decorators, defaults and class bodies."""
        names: set[str] = set()
        for root in filter(None, nodes):
            for node, scope in walk(root):
                if scope is not None:
                    continue
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, ast.Lambda):
                    names |= scope_of(node).later
                elif isinstance(node, Scoped):
                    names |= scope_of(node).now
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
    parts = (part for item in node.items for part in ast.walk(item.context_expr) if isinstance(part, ast.Call))
    return any(last_part(part.func) in _SWALLOW for part in parts)
