"""What a sequence of kernel cells has put in the namespace: how names were last bound, and which share an object.

A binding has a key where an equal one binds an equal value: imports, constants, sympy's `symbols(...)` of constants.
Names share an object where the code shows it plainly (`b = a`, `for row in grid`, `box.append(a)`); what other calls
return counts as new, a shallow copy too.

Try it: `python -c "import ast; from purify.saar.kernel.names import *; print(*bindings(ast.parse('import os as o')))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

from purify.saar.kernel.scopes import Comprehension, Function, Scope, Scoped, bound_names, scope_of, walk

STAR = "from "
"""`from m import *` is a binding of that very text, which no name can be."""
BY_FUNCTION = "bound by a function"
_SYMBOLS = ("Symbol", "symbols")
_VIEWS = frozenset(["enumerate", "filter", "get", "items", "iter", "map", "reversed", "setdefault", "values", "zip"])
_PUTS_IN = frozenset(["add", "append", "appendleft", "extend", "insert", "put", "setdefault", "update"])
_ITERATORS = frozenset(["enumerate", "filter", "iter", "map", "open", "reader", "reversed", "zip"])


Code = Function | ast.Lambda | ast.ClassDef


class Binding(NamedTuple):
    name: str
    key: str | None = None
    """Equal keys bind equal values; None equals nothing."""
    origin: str | None = None
    """What an import brings, e.g. 'math.sqrt'."""
    how: str = "bound"


@dataclass(slots=True)
class Namespace:
    keys: dict[str, str | None] = field(default_factory=dict)
    """Name to the key of its last binding."""
    imports: dict[str, str] = field(default_factory=dict)
    """Name to origin, e.g. {'np': 'numpy', 'sqrt': 'math.sqrt'}."""
    functions: dict[str, frozenset[Code]] = field(default_factory=dict)
    """Name to the functions and classes of the cells that it may hold, or an object that they made."""
    unsteady: set[str] = field(default_factory=set)
    """Names that a function may bind again at any time."""
    iterators: set[str] = field(default_factory=set)
    """Names bound to something that reading uses up, e.g. a generator."""
    shared: dict[str, set[str]] = field(default_factory=dict)
    """Name to names whose objects change with its own."""
    called: set[str] = field(default_factory=set)
    """Last parts of the names of all functions called, e.g. 'seed'."""

    def learn(self, nodes: Iterable[ast.AST], certain: bool = True) -> None:
        """Take in statements of the next cell; `certain` is false where some may not have run."""
        for root in nodes:
            held: list[tuple[str, frozenset[Code]]] = []
            for node, scope in walk(root):
                if isinstance(node, Function | ast.ClassDef) and scope is None:
                    held.append((node.name, frozenset([node])))
                elif isinstance(node, ast.Call):
                    self.called.add(last_part(node.func))
                    if isinstance(node.func, ast.Attribute) and node.func.attr in _PUTS_IN:
                        for argument in node.args:
                            self._connect(references(node.func), references(argument))
                for target, value in _assignments(node):
                    self._share(target, value)
                    code = self._code_in(value)
                    held += [(name, code) for name in references(target)]
            for found in bindings(root):
                self._bind(found, certain, sure=certain and isinstance(root, ast.Import | ast.ImportFrom | ast.Assign))
            for name, code in held:
                self.functions[name] = self.functions.get(name, frozenset()) | code

    def dotted(self, callee: ast.expr, scope: Scope | None) -> str:
        """The callee with imports resolved, e.g. 'numpy.random.seed'; '?' for what the cells bound otherwise."""
        parts: list[str] = []
        while isinstance(callee, ast.Attribute):
            parts.insert(0, callee.attr)
            callee = callee.value
        root = "?"
        if isinstance(callee, ast.Name) and (scope is None or callee.id in scope.later):
            root = self.imports.get(callee.id) or ("?" if callee.id in self.keys else callee.id)
        return ".".join([root, *parts])

    def sharing(self, names: Iterable[str]) -> list[str]:
        """These names and all that change with them."""
        queue = list(dict.fromkeys(names))
        for name in queue:
            queue.extend(sorted(self.shared.get(name, set()).difference(queue)))
        return queue

    def _bind(self, found: Binding, certain: bool, sure: bool) -> None:
        if found.name.startswith(STAR):  # may rebind any name
            self.keys = dict.fromkeys(self.keys)
        elif found.origin:  # may rebind what a star import brought
            self.keys |= {name: None for name in self.keys if name.startswith(STAR)}
        if found.how == BY_FUNCTION:
            self.unsteady.add(found.name)
        self.keys[found.name] = found.key if sure and found.name not in self.unsteady else None
        if certain:
            self.functions.pop(found.name, None)
            self.imports.pop(found.name, None)
        if found.origin:
            self.imports[found.name] = found.origin

    def _code_in(self, value: ast.expr) -> frozenset[Code]:
        """The functions that the value names, and its lambdas."""
        code: set[Code] = set()
        for part in ast.walk(value):
            if isinstance(part, ast.Name):
                code |= self.functions.get(part.id, frozenset())
            elif isinstance(part, ast.Lambda):
                code.add(part)
        return frozenset(code)

    def _share(self, target: ast.expr, value: ast.expr) -> None:
        names, sources = references(target), references(value)
        for name in names:
            if isinstance(value, ast.GeneratorExp) or (
                isinstance(value, ast.Call) and last_part(value.func) in _ITERATORS
            ):
                self.iterators.add(name)
        self._connect(names, sources)

    def _connect(self, names: Iterable[str], others: Iterable[str]) -> None:
        for name, other in product(names, others):
            self.shared.setdefault(name, set()).add(other)
            self.shared.setdefault(other, set()).add(name)


def bindings(root: ast.AST) -> Iterator[Binding]:
    """Every binding or deletion of a module's name that the statement can make, in source order."""
    keys: dict[ast.AST, str] = {}
    declared: set[ast.AST] = set()
    for node, scope in walk(root):
        if scope is not None:
            continue
        match node:
            case ast.AnnAssign(value=None, target=target):
                declared.add(target)
            case ast.Name(ctx=ast.Load()):
                pass
            case ast.Name() if node in declared:
                pass
            case ast.Name(id=name, ctx=ast.Store()):
                yield Binding(name, keys.get(node))
            case ast.Name(id=name):
                yield Binding(name, how="deleted")
            case ast.Assign() if _is_steady(node.value):
                keys |= {part: ast.dump(node) for target in node.targets for part in ast.walk(target)}
            case ast.Import():
                for n in node.names:
                    name = n.asname or n.name.partition(".")[0]
                    yield Binding(name, f"{n.name} as {n.asname}", n.name if n.asname else name)
            case ast.ImportFrom():
                module = "." * node.level + (node.module or "")
                for n in node.names:
                    if n.name == "*":
                        yield Binding(f"{STAR}{module} import *", module)
                    else:
                        yield Binding(n.asname or n.name, f"{module}.{n.name}", f"{module}.{n.name}")
            case _:
                yield from map(Binding, bound_names(node))
        if isinstance(node, Scoped):
            how = "bound" if isinstance(node, Comprehension) else BY_FUNCTION
            yield from (Binding(name, how=how) for name in sorted(scope_of(node).stores))


def references(expr: ast.expr) -> list[str]:
    """Names whose object the expression gives back, whole or in part."""
    match expr:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            return references(value)
        case ast.NamedExpr(target=target, value=value):
            return [*references(target), *references(value)]
        case ast.Tuple(elts=elts) | ast.List(elts=elts) | ast.BoolOp(values=elts):
            return [name for element in elts for name in references(element)]
        case ast.Dict(values=values):
            return [name for value in values for name in references(value)]
        case ast.GeneratorExp(generators=[first, *_]):
            return references(first.iter)
        case ast.IfExp(body=body, orelse=orelse):
            return [*references(body), *references(orelse)]
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name in _VIEWS:
            return references(value)
        case ast.Call(func=ast.Name(id=name), args=args) if name in _VIEWS:
            return [name for argument in args for name in references(argument)]
    return []


def last_part(callee: ast.expr) -> str:
    """`seed` of `np.random.seed`."""
    return callee.attr if isinstance(callee, ast.Attribute) else callee.id if isinstance(callee, ast.Name) else ""


def _assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    match node:
        case ast.Assign():
            yield from ((target, node.value) for target in node.targets)
        case ast.NamedExpr(target=target, value=value) | ast.AnnAssign(target=target, value=ast.expr() as value):
            yield target, value
        case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
            yield target, value
        case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
            yield target, value


def _is_steady(value: ast.expr) -> bool:
    """Whether evaluating it twice gives equal, unchangeable values."""
    match value:
        case ast.Constant() | ast.UnaryOp(operand=ast.Constant()):
            return True
        case ast.Tuple(elts=elts):
            return all(map(_is_steady, elts))
        case ast.Call(func=func, args=args, keywords=keywords):
            return last_part(func) in _SYMBOLS and all(map(_is_steady, [*args, *(word.value for word in keywords)]))
    return False
