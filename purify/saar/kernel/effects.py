"""What the executed part of a kernel cell changed, besides binding names: objects, files, processes, settings.

Mutation is judged by name: stores to an item or attribute, a fixed list of mutating methods, methods of the cells' own
classes that change something, `heappush`, `next` and the like, `inplace=True`, an iterator that is read, and the bodies
of the cells' own functions that are named. Limits: any other method returns a new value (most of sympy's and numpy's
do), and a function leaves the objects passed to it alone. Order does not matter: what may have happened counts.

Try it: `python -c "from purify.saar.kernel import effects; print(sorted(effects.MUTATING_METHODS))"`
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from purify.saar.kernel.names import Namespace, last_part, references
from purify.saar.kernel.outside import OPAQUE, SEEDS, reach
from purify.saar.kernel.scopes import Function, Scope, scope_of, walk

MUTATING_METHODS = frozenset(
    ["add", "append", "appendleft", "clear", "col_del", "col_op", "col_swap", "difference_update", "discard", "extend",
     "extendleft", "fill", "fit", "fit_transform", "insert", "intersection_update", "itemset", "partial_fit", "pop",
     "popitem", "popleft", "put", "put_nowait", "remove", "resize", "reverse", "rotate", "row_del", "row_op",
     "row_swap", "setdefault", "setflags", "sort", "subtract", "symmetric_difference_update", "update", "write",
     "writelines"]
)  # fmt: skip
"""Methods that change their object, besides those that begin with `add_`, `set_`, `remove_` or `update_`."""
_MUTATING_PREFIXES = ("add_", "set_", "remove_", "update_")
_CHANGES_FIRST_ARGUMENT = frozenset(
    ["copyto", "fill_diagonal", "heapify", "heappop", "heappush", "heappushpop", "heapreplace", "insort", "insort_left",
     "insort_right", "next", "putmask", "shuffle"]
)  # fmt: skip
_CONTAINER_METHODS = frozenset(["append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update"])
_CONTAINERS = (ast.List, ast.ListComp, ast.Set, ast.SetComp, ast.Dict, ast.DictComp)


def changes(nodes: Iterable[ast.AST], known: Namespace) -> tuple[list[str], str | None]:
    """Names of the module whose objects the statements may have changed, and what else they touched, if anything.

    `known` has learnt the earlier cells and these statements.
    """
    changed: list[str] = []
    own_mutators = _mutating_methods(known)
    roots = [(node, False) for node in nodes]
    entered: set[ast.AST] = set()
    for root, is_named in roots:  # grows by the bodies of the cells' own functions that are named
        for node, scope in walk(root):
            if is_named and scope is None:
                continue  # the header of a function ran when it was defined
            if (beyond := _beyond(node, scope, known)) is not None:
                return [], beyond
            found = _changed(node, own_mutators)
            if isinstance(node, ast.Name) and node.id in known.iterators:
                found.append(node.id)
            changed += [name for name in found if _is_module(name, scope)]
            if isinstance(node, ast.Name):
                for code in sorted(known.functions.get(node.id, frozenset()) - entered, key=lambda code: code.lineno):
                    entered.add(code)
                    roots.append((code, True))
                    changed += sorted(scope_of(code).stores)
    return [name for name in known.sharing(changed) if name not in known.imports], None


def _mutating_methods(known: Namespace) -> frozenset[str]:
    """Methods of the cells' own classes that change something."""
    classes = [code for held in known.functions.values() for code in held if isinstance(code, ast.ClassDef)]
    methods = [method for node in classes for method in node.body if isinstance(method, Function)]
    return frozenset(m.name for m in methods if any(_changed(node, frozenset()) for node in ast.walk(m)))


def _changed(node: ast.AST, own_mutators: frozenset[str]) -> list[str]:
    """Names whose objects this node itself changes."""
    match node:
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            return references(node)
        case ast.AugAssign(target=ast.Name(id=name)) if isinstance(node.value, _CONTAINERS):
            return [name]  # in place: what shares the object changes too
        case ast.Call(func=func):
            objects = [word.value for word in node.keywords if word.arg == "out"]
            if isinstance(func, ast.Attribute) and (
                func.attr in MUTATING_METHODS
                or func.attr in own_mutators
                or func.attr.startswith(_MUTATING_PREFIXES)
                or any(word.arg == "inplace" for word in node.keywords)
            ):
                objects.append(func.value)
            if last_part(func) in _CHANGES_FIRST_ARGUMENT:
                objects += node.args[:1]
            return [name for expr in objects for name in references(expr)]
    return []


def _beyond(node: ast.AST, scope: Scope | None, known: Namespace) -> str | None:
    match node:
        case ast.Name(id=name, ctx=ast.Load()) if name in OPAQUE and name not in known.keys and _is_module(name, scope):
            return f"cannot be analysed ({name})"
        case ast.Attribute(attr="__dict__"):
            return "cannot be analysed (__dict__)"
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            return _module_state(node, scope, known)
        case ast.Call(func=ast.Attribute(value=ast.Attribute() as owner, attr=name)) if name in _CONTAINER_METHODS:
            return _module_state(owner, scope, known)
        case ast.Call():
            return reach(known.dotted(node.func, scope), node, seeded=not SEEDS.isdisjoint(known.called))
    return None


def _is_module(name: str, scope: Scope | None) -> bool:
    """Whether the name is the module's, not one of the function's own."""
    return scope is None or name in scope.later


def _module_state(node: ast.expr, scope: Scope | None, known: Namespace) -> str | None:
    """`mp.dps = 50`, `os.environ["x"] = "y"`, `sys.path.append(p)`, `getcontext().prec = 50`."""
    root = node
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.func if isinstance(root, ast.Call) else root.value
    if isinstance(root, ast.Name) and root.id in known.imports and _is_module(root.id, scope):
        return f"changes settings ({ast.unparse(node)})"
    return None
