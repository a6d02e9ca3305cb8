"""What the executed part of a kernel cell did: names bound, objects changed, and effects beyond the namespace.

Mutation is judged by name: stores to an item or attribute, a fixed list of mutating methods, methods of the cells' own classes
that store something, `heappush`, `next` and the like, `inplace=True`, and the bodies of the cells' own functions that are named.
Other method calls return new values (sympy's and numpy's mostly do). Limits: an object passed to a function counts as
unchanged, and only plain aliases inside one cell are followed (`b = a`, `for row in grid`). Order does not matter: what may
have happened counts.

Try it: `python -c "from purify.saar import kernel_effects as k; print(sorted(k.MUTATING_METHODS))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from purify.saar.kernel_cells import Cell, Function, Scope, Scoped, walk
from purify.saar.kernel_outside import OPAQUE, SEEDS, reach

MUTATING_METHODS = frozenset(
    """add append appendleft clear col_del col_op col_swap difference_update discard extend extendleft fill fit fit_transform
    insert intersection_update itemset partial_fit pop popitem popleft put put_nowait remove resize reverse rotate row_del row_op
    row_swap setdefault setflags sort subtract symmetric_difference_update update write writelines""".split()
)
"""Methods that change the object they are called on, besides those that begin with `add_`, `set_`, `remove_`, `update_`."""
_MUTATING_PREFIXES = ("add_", "set_", "remove_", "update_")
_CHANGES_FIRST_ARGUMENT = frozenset(
    """copyto fill_diagonal heapify heappop heappush heappushpop heapreplace insort insort_left insort_right next putmask
    shuffle""".split()
)
_CONTAINER_METHODS = frozenset("append clear extend insert pop remove setdefault update".split())
_LOOKUPS = frozenset("enumerate filter get items iter map reversed setdefault values zip".split())
_SYMBOLS = frozenset(["Symbol", "symbols"])
_CONTAINERS = (ast.List, ast.ListComp, ast.Set, ast.SetComp, ast.Dict, ast.DictComp)
STAR = "from "
"""A star import is a binding of a name that no name can have: `from m import *`."""


class Binding(NamedTuple):
    name: str
    key: str | None = None
    """Equal keys bind equal values: imports, constants, sympy symbols. None equals nothing."""
    origin: str | None = None
    """What an import brings, e.g. 'math.sqrt'."""
    how: str = "bound"


@dataclass(slots=True)
class Namespace:
    """What a sequence of cells has put in the kernel."""

    keys: dict[str, str | None] = field(default_factory=dict)
    """Name to the key of its last binding."""
    imports: dict[str, str] = field(default_factory=dict)
    """Name to origin, e.g. {'np': 'numpy', 'sqrt': 'math.sqrt'}."""
    functions: dict[str, tuple[Function | ast.ClassDef, Cell]] = field(default_factory=dict)
    mutators: set[str] = field(default_factory=set)
    """Methods of the cells' own classes that store something."""
    seeded: bool = False

    def learn(self, nodes: Iterable[ast.AST], cell: Cell, certain: bool = True) -> None:
        """Take in the statements of one more cell; `certain` is false where some of them may not have run."""
        for root in nodes:
            sure = certain and isinstance(root, ast.Import | ast.ImportFrom | ast.Assign)
            for found in bindings(root, cell):
                self._bind(found, sure)
            for node, scope in walk(root, cell):
                if isinstance(node, Function | ast.ClassDef) and scope is None:
                    self.functions[node.name] = node, cell
                if isinstance(node, ast.ClassDef):
                    methods = [m for m in node.body if isinstance(m, Function)]
                    self.mutators |= {m.name for m in methods if any(_changed(n, self) for n in ast.walk(m))}
                self.seeded |= isinstance(node, ast.Call) and self.dotted(node.func, scope).rpartition(".")[2] in SEEDS

    def _bind(self, found: Binding, sure: bool) -> None:
        if found.name.startswith(STAR):  # may rebind any name
            self.keys = dict.fromkeys(self.keys)
        elif found.origin:  # may rebind what a star import brought
            self.keys |= {name: None for name in self.keys if name.startswith(STAR)}
        self.keys[found.name] = found.key if sure else None
        self.functions.pop(found.name, None)
        self.imports.pop(found.name, None)
        if found.origin:
            self.imports[found.name] = found.origin

    def dotted(self, node: ast.expr, scope: Scope | None) -> str:
        """The callee with imports resolved: `np.random.seed` is 'numpy.random.seed'. What is bound otherwise is '?'."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        root = "?"
        if isinstance(node, ast.Name) and (scope is None or node.id in scope.later):
            root = self.imports.get(node.id) or ("?" if node.id in self.keys else node.id)
        return ".".join([root, *reversed(attributes)])


def bindings(root: ast.AST, cell: Cell) -> Iterator[Binding]:
    """Every binding or deletion of a module's name that the statement can make."""
    steady: dict[int, str] = {}
    for node, scope in walk(root, cell):
        if scope is not None:
            continue
        if isinstance(node, Scoped):
            yield from map(Binding, sorted(cell.scope(node).stores))
        match node:
            case ast.Assign(targets=targets, value=value) if _is_steady(value):
                steady |= {id(n): ast.dump(node) for target in targets for n in ast.walk(target)}
            case ast.Name(id=name, ctx=ast.Store()):
                yield Binding(name, steady.get(id(node)))
            case ast.Name(id=name, ctx=ast.Del()):
                yield Binding(name, how="deleted")
            case ast.Import(names=names):
                for n in names:
                    name = n.asname or n.name.partition(".")[0]
                    yield Binding(name, f"{n.name} as {n.asname}", n.name if n.asname else name)
            case ast.ImportFrom(names=names):
                module = "." * node.level + (node.module or "")
                for n in names:
                    name = f"{STAR}{module} import *" if n.name == "*" else n.asname or n.name
                    yield Binding(name, f"{module}.{n.name}", None if n.name == "*" else f"{module}.{n.name}")
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
            ):
                yield Binding(name)


def changes(nodes: Iterable[ast.AST], cell: Cell, known: Namespace) -> tuple[list[str], str | None]:
    """Names of the module whose objects the statements may have changed, and what they did beyond the namespace, if anything.

    `known` has learnt the earlier cells and these statements.
    """
    changed: dict[str, None] = {}
    shared: dict[str, set[str]] = {}
    roots = [(node, cell, False) for node in nodes]
    entered: set[str] = set()
    for root, home, body_only in roots:  # grows: the bodies of the cells' own functions that are named
        for node, scope in walk(root, home):
            if body_only and scope is None:
                continue
            if (beyond := _beyond(node, scope, known)) is not None:
                return [], beyond
            for target, source in _aliases(node):
                shared.setdefault(target, set()).update(_references(source))
            for name in _changed(node, known):
                if scope is None or name in scope.later:
                    changed[name] = None
            if isinstance(node, ast.Name) and node.id in known.functions and node.id not in entered:
                entered.add(node.id)
                roots.append((*known.functions[node.id], True))
    queue = list(changed)
    for name in queue:
        queue.extend(sorted(shared.pop(name, set())))
    return [name for name in dict.fromkeys(queue) if name not in known.imports], None


def _beyond(node: ast.AST, scope: Scope | None, known: Namespace) -> str | None:
    match node:
        case ast.Await() | ast.AsyncFor() | ast.AsyncWith() if scope is None:
            return "has a top-level await"
        case ast.Name(id=name, ctx=ast.Load()) if name in OPAQUE and name not in known.keys:
            return f"cannot be analysed ({name})"
        case ast.Attribute(attr="__dict__"):
            return "cannot be analysed (__dict__)"
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            return _module_state(node, scope, known)
        case ast.Call(func=ast.Attribute(value=ast.Attribute() as owner, attr=name)) if name in _CONTAINER_METHODS:
            return _module_state(owner, scope, known)
        case ast.Call():
            return reach(known.dotted(node.func, scope), node, known.seeded)
    return None


def _module_state(node: ast.expr, scope: Scope | None, known: Namespace) -> str | None:
    """`mp.dps = 50`, `os.environ["x"] = "y"`, `sys.path.append(p)`, `getcontext().prec = 50`."""
    root = _root(node)
    if root in known.imports and (scope is None or root in scope.later):
        return f"changes settings ({ast.unparse(node)})"
    return None


def _changed(node: ast.AST, known: Namespace) -> list[str]:
    """Names whose objects this node itself changes."""
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            return _references(node)
        case ast.AugAssign(target=ast.Name(id=name), value=value) if isinstance(value, _CONTAINERS):
            return [name]  # in place, so its aliases change too
        case ast.Call(func=func, args=args, keywords=keywords):
            found = [w.value for w in keywords if w.arg == "out"]
            if isinstance(func, ast.Attribute) and (
                _mutates(func.attr) or func.attr in known.mutators or any(w.arg == "inplace" for w in keywords)
            ):
                found.append(func.value)
            name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
            if name in _CHANGES_FIRST_ARGUMENT:
                found += args[:1]
            return [name for expr in found for name in _references(expr)]
    return []


def _mutates(method: str) -> bool:
    return method in MUTATING_METHODS or method.startswith(_MUTATING_PREFIXES)


def _is_steady(value: ast.expr) -> bool:
    """Whether evaluating it twice gives equal, unchangeable values."""
    match value:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=ast.Constant()):
            return True
        case ast.Tuple(elts=elts):
            return all(map(_is_steady, elts))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args, keywords=keywords):
            return name in _SYMBOLS and all(map(_is_steady, [*args, *(word.value for word in keywords)]))
    return False


def _aliases(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that this node binds to (a part of) an object that other names hold."""
    match node:
        case ast.Assign(targets=targets, value=value):
            pass
        case ast.NamedExpr(target=target, value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            targets = [target]
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            targets = [target]
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            targets = [target]
        case _:
            return
    for target in targets:
        for name in ast.walk(target):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                yield name.id, value


def _references(expr: ast.expr) -> list[str]:
    """Names whose object the expression gives back, whole or in part."""
    match expr:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            return _references(value)
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            return [name for element in elts for name in _references(element)]
        case ast.IfExp(body=body, orelse=orelse):
            return _references(body) + _references(orelse)
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _LOOKUPS:
            return _references(value)
        case ast.Call(func=ast.Name(id=name), args=args) if name in _LOOKUPS:
            return [name for argument in args for name in _references(argument)]
    return []


def _root(expr: ast.expr) -> str:
    while not isinstance(expr, ast.Name):
        match expr:
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Call(func=inner):
                expr = inner
            case _:
                return ""
    return expr.id
