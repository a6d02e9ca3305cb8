"""Tests as Python source, taken apart so that expected values stay out of reach of the code under test.

    assert f(2) == 4      becomes _observe(0, f(2)); the comparison with 4 is made outside, on what was observed
    assert f(2)           becomes _observe(0, bool(f(2))), which must be true
    check(f)              runs in its place, with the asserts of `check` rewritten alike
    def test_x(): ...     is called at the end, unless the source calls it; so are the tests of a TestCase

Only `==` and `in` with a literal are decided outside: other comparisons can be guessed anyway, and their sides need not
be plain values. Asserts in loops, `try` and `with` stay as they are.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from purify.errors import RejectedRecordError

Passes = Callable[[Any], bool]

_DECIDED_OUTSIDE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.In: lambda value, wanted: value in wanted,
}
_UNITTEST = """\
import unittest as _unittest
_result = _unittest.TestResult()
{name}({method!r}).run(_result)
if not _result.wasSuccessful(): raise AssertionError
"""


@dataclass(frozen=True)
class Case:
    """Source to run, in order. `required` observations must have been made by the end of it."""

    source: str
    is_test: bool
    required: frozenset[int] = frozenset()


@dataclass(frozen=True)
class SplitTests:
    cases: tuple[Case, ...]
    observations: tuple[Passes, ...]
    """What decides over each observed value, by number."""


@lru_cache(maxsize=256)
def split_tests(source: str) -> SplitTests:
    """Raises `RejectedRecordError` if it is not Python, or tests nothing that could be run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a "\\d" in someone's tests is not ours to mend
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        raise RejectedRecordError(f"tests are not Python ({error.args[0]}{f', line {line}' if line else ''})") from None
    used = {node.id for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name)}
    rewrite = _Rewrite()
    required: dict[str, frozenset[int]] = {}
    cases: list[Case] = []
    last: dict[str, Case] = {}  # by source: of two functions of one name the later counts
    for statement in body:
        if _starts_runner(statement):
            continue
        before = len(rewrite.observations)
        rewritten = rewrite.visit(statement)
        own = frozenset(range(before, len(rewrite.observations)))
        if isinstance(statement, ast.FunctionDef):
            required[statement.name] = own & _straight(rewritten.body)
            if statement.name.startswith("test") and statement.name not in used:
                last[statement.name] = _call_of(statement, required[statement.name])
        elif isinstance(statement, ast.AsyncFunctionDef) and statement.name.startswith("test"):
            raise RejectedRecordError(f"test function {statement.name} is async, which is not supported")
        elif isinstance(statement, ast.ClassDef):
            last |= {case.source: case for case in _of_class(statement)}
        elif isinstance(statement, ast.Expr):
            own = _needed(statement.value, required)
        is_test = _tests(statement, required)
        cases.append(Case(ast.unparse(rewritten), is_test, own if is_test else frozenset()))
    cases += last.values()
    if not any(case.is_test for case in cases):
        raise RejectedRecordError("tests contain nothing that asserts: any answer would pass them")
    return SplitTests(tuple(cases), tuple(rewrite.observations))


class _Rewrite(ast.NodeTransformer):
    """Replaces asserts by observations and keeps what decides over them."""

    def __init__(self) -> None:
        self.observations: list[Passes] = []

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        value, passes = _taken_apart(node.test)
        call = ast.Call(ast.Name("_observe", ast.Load()), [ast.Constant(len(self.observations)), value], [])
        self.observations.append(passes)
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))

    def _unchanged(self, node: ast.AST) -> ast.AST:
        return node

    # A loop would observe without end; around `try` and `with`, a failing assert may be what is wanted.
    visit_For = visit_While = visit_AsyncFor = visit_Try = visit_TryStar = visit_With = visit_AsyncWith = _unchanged  # noqa: N815
    visit_ClassDef = visit_Lambda = _unchanged  # noqa: N815


def _taken_apart(test: ast.expr) -> tuple[ast.expr, Passes]:
    """What to observe, and what decides over it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _bool_of(test.operand), operator.not_
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in _DECIDED_OUTSIDE:
        compare, left, right = _DECIDED_OUTSIDE[type(test.ops[0])], test.left, test.comparators[0]
        if wanted := _literal(right):
            return left, lambda value: bool(compare(value, wanted[0]))
        if wanted := _literal(left):
            return right, lambda value: bool(compare(wanted[0], value))
    return _bool_of(test), lambda value: value is True


def _bool_of(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("bool", ast.Load()), [node], [])


def _literal(node: ast.expr) -> tuple[Any] | None:
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _straight(body: Sequence[ast.stmt]) -> frozenset[int]:
    """The observations that a function makes on every way through it: those of its own statements."""
    calls = [statement.value for statement in body if isinstance(statement, ast.Expr)]
    return frozenset(
        call.args[0].value
        for call in calls
        if isinstance(call, ast.Call) and _name_of(call) == "_observe" and isinstance(call.args[0], ast.Constant)
        if isinstance(call.args[0].value, int)
    )


def _needed(value: ast.expr, required: dict[str, frozenset[int]]) -> frozenset[int]:
    return required.get(_name_of(value), frozenset()) if isinstance(value, ast.Call) else frozenset()


def _name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _tests(statement: ast.stmt, functions: Iterable[str]) -> bool:
    """Whether a statement asserts: by itself, in a block, or by a call of a function of the tests."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    nodes = list(ast.walk(statement))
    calls = {_name_of(node) for node in nodes if isinstance(node, ast.Call)}
    return any(isinstance(node, ast.Assert) for node in nodes) or not calls.isdisjoint(functions)


def _starts_runner(statement: ast.stmt) -> bool:
    """`unittest.main()` and `if __name__ == "__main__"`: the tests are run here in any case."""
    if isinstance(statement, ast.If):
        return "__name__" in ast.unparse(statement.test)
    return isinstance(statement, ast.Expr) and ast.unparse(statement).startswith(("unittest.main(", "pytest.main("))


def _call_of(function: ast.FunctionDef, required: frozenset[int]) -> Case:
    arguments = function.args
    if arguments.posonlyargs or arguments.args or arguments.kwonlyargs:
        raise RejectedRecordError(f"test function {function.name} takes arguments (fixtures are not supported)")
    return Case(f"{function.name}()", True, required)


def _of_class(node: ast.ClassDef) -> Iterator[Case]:
    """The tests of a `unittest.TestCase`, or of a class as pytest takes it."""
    methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef) and item.name.startswith("test")]
    is_unittest = any(ast.unparse(base).endswith("TestCase") for base in node.bases)
    for method in methods if is_unittest or node.name.startswith("Test") else ():
        yield Case(
            _UNITTEST.format(name=node.name, method=method) if is_unittest else f"{node.name}().{method}()", True
        )
