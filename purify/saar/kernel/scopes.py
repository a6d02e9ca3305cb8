"""Which names of the module the functions, classes and comprehensions of a kernel cell read and bind.

From the syntax tree alone: the standard library's `symtable` hides the scopes of comprehensions from Python 3.12 on.

Try it: `python -c "import ast; from purify.saar.kernel.scopes import *; print(*walk(ast.parse('a = [b for b in c]')))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scoped = Function | ast.Lambda | ast.ClassDef | Comprehension
_HEADER = ("decorator_list", "args", "returns", "bases", "keywords")
_NO_NODES = frozenset(["attr", "ctx", "id", "op", "ops"])


@dataclass(frozen=True, slots=True)
class Scope:
    now: frozenset[str]
    """Names of the module read as soon as execution meets it: by a class body, a comprehension."""
    later: frozenset[str]
    """All that it reads, at the latest when called."""
    stores: frozenset[str]
    """Names bound through `global`, or by a walrus in a comprehension."""


def walk(root: ast.AST) -> Iterator[tuple[ast.AST, Scope | None]]:
    """Every node from `root` down in source order, with the outermost scope it is in: None is the module itself.

    Decorators, defaults, bases and a comprehension's first iterable run in the scope around. Contexts and operators are
    left out.
    """
    stack: list[tuple[ast.AST, Scope | None]] = [(root, None)]
    while stack:
        node, scope = stack.pop()
        yield node, scope
        if scope is None and isinstance(node, Scoped):
            stack += [(child, scope_of(node)) for child in reversed(_inside(node))]
            stack += [(child, None) for child in reversed(_header(node))]
        else:
            stack += [(child, scope) for child in reversed(_children(node))]


@lru_cache(maxsize=1024)
def scope_of(node: Scoped) -> Scope:
    """What this function, lambda, class or comprehension does to names outside it, with all that is nested in it."""
    reads, binds, module, outer = set[str](), set[str](), set[str](), set[str]()
    nested: list[tuple[Scoped, Scope]] = []
    if isinstance(node, Function | ast.Lambda):
        a = node.args
        binds |= {arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if arg}
    stack = _inside(node)
    while stack:
        child = stack.pop()
        match child:
            case ast.Name(id=name, ctx=ast.Store()):
                binds.add(name)
            case ast.Name(id=name):
                reads.add(name)
            case ast.NamedExpr(target=ast.Name(id=name)) if isinstance(node, Comprehension):
                outer.add(name)
            case ast.Global(names=names):
                module.update(names)
            case ast.Nonlocal(names=names):
                outer.update(names)
        binds.update(bound_names(child))
        if isinstance(child, Scoped):
            nested.append((child, scope_of(child)))
            stack += _header(child)
        else:
            stack += _children(child)
    return _resolve(node, reads, binds, module, outer, nested)


def _resolve(
    node: Scoped,
    reads: set[str],
    binds: set[str],
    module: set[str],
    outer: set[str],
    nested: list[tuple[Scoped, Scope]],
) -> Scope:
    below = frozenset[str]().union(*(scope.later for _, scope in nested))
    stores = frozenset[str]().union(*(scope.stores for _, scope in nested))
    if isinstance(node, ast.ClassDef):
        # Its names are hidden from its methods, and until bound they are looked up in the module.
        at_once = [scope.later if _is_run(child, reads) else scope.now for child, scope in nested]
        return Scope(frozenset(reads.union(*at_once)), below | reads, stores | (module & binds))
    if isinstance(node, Comprehension):
        later = (below | reads) - (binds - outer)
        return Scope(later, later, stores | outer)
    walrus = frozenset[str]().union(*(scope.stores for child, scope in nested if isinstance(child, Comprehension)))
    own = (binds | walrus) - module - outer
    return Scope(frozenset(), (below | reads) - own, (stores - walrus) | (module & (binds | walrus)))


def _is_run(child: Scoped, reads: set[str]) -> bool:
    """Whether a class body may run a scope nested in it: it names the function, or it is no `def`."""
    return child.name in reads if isinstance(child, Function | ast.ClassDef) else True


def bound_names(node: ast.AST) -> list[str]:
    """Names that this node binds otherwise than by a `Name`."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            return [name]
        case ast.MatchMapping(rest=str(name)):
            return [name]
    return []


def _header(node: Scoped) -> list[ast.AST]:
    """The parts that run in the scope around."""
    if isinstance(node, Comprehension):
        return [node.generators[0].iter]
    return [child for field in _HEADER for child in _children_in(node, field)]


def _inside(node: Scoped) -> list[ast.AST]:
    if isinstance(node, Comprehension):
        first, *others = node.generators
        return [
            first.target,
            *first.ifs,
            *others,
            *(getattr(node, f) for f in ("elt", "key", "value") if hasattr(node, f)),
        ]
    return [child for field in node._fields if field not in _HEADER for child in _children_in(node, field)]


def _children(node: ast.AST) -> list[ast.AST]:
    return [child for field in node._fields if field not in _NO_NODES for child in _children_in(node, field)]


def _children_in(node: ast.AST, field: str) -> list[ast.AST]:
    value = getattr(node, field, None)
    if isinstance(value, list):
        return [item for item in value if isinstance(item, ast.AST)]
    return [value] if isinstance(value, ast.AST) else []
