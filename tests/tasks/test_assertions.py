"""Taking tests apart: what is asked of the sandbox, and what decides over the answer."""

from __future__ import annotations

from typing import Any

import pytest

from purify.errors import RejectedRecordError
from purify.tasks.assertions import split_tests


@pytest.mark.parametrize(
    ("source", "asked", "right", "wrong"),
    [
        ("assert f(2) == 4", "_observe(0, f(2))", 4, 5),
        ("assert [1, 2] == f(2), 'no'", "_observe(0, f(2))", [1, 2], (1, 2)),
        ("assert f(2) in (4, 5)", "_observe(0, f(2))", 5, 6),
        ("assert 3 in f(2)", "_observe(0, f(2))", {3}, {4}),
        ("assert f(2) == -1.5", "_observe(0, f(2))", -1.5, 1.5),
        ("assert f(2)", "_observe(0, bool(f(2)))", True, 1),
        ("assert not f(2)", "_observe(0, bool(f(2)))", False, True),
        ("assert f(2) is not None", "_observe(0, bool(f(2) is not None))", True, False),
        ("assert abs(f(2) - 1) < 0.1", "_observe(0, bool(abs(f(2) - 1) < 0.1))", True, False),
        ("assert f(2) == g(2)", "_observe(0, bool(f(2) == g(2)))", True, False),
        ("assert 1 < f(2) < 3", "_observe(0, bool(1 < f(2) < 3))", True, False),
    ],
)
def test_an_assert_is_an_observation(source: str, asked: str, right: Any, wrong: Any) -> None:
    split = split_tests(source)
    assert [(case.source, case.is_test, case.required) for case in split.cases] == [(asked, True, frozenset({0}))]
    (passes,) = split.observations
    assert (passes(right), passes(wrong)) == (True, False)


def test_a_function_that_checks() -> None:
    split = split_tests("""
import math
X = 3
def check(candidate):
    assert candidate(1) == 2
    if X:
        assert candidate(2) == 3
    for i in range(3):
        assert candidate(i) == i + 1
check(f)
""")
    assert [(case.source, case.is_test, case.required) for case in split.cases[2:]] == [
        (
            "def check(candidate):\n    _observe(0, candidate(1))\n    if X:\n        _observe(1, candidate(2))\n"
            "    for i in range(3):\n        assert candidate(i) == i + 1",
            False,
            frozenset(),
        ),
        ("check(f)", True, {0}),
    ]
    assert [case.is_test for case in split.cases[:2]] == [False, False]


def test_test_functions_and_classes_are_called() -> None:
    split = split_tests("""
import unittest
def test_a(): assert f(1) == 2
class TestB:
    def test_b(self): assert f(1) == 2
class C(unittest.TestCase):
    def test_c(self): self.assertEqual(f(1), 2)
    def helper(self): pass
if __name__ == "__main__":
    unittest.main()
""")
    tests = [case for case in split.cases if case.is_test]
    assert [case.source.splitlines()[-1] for case in tests] == [
        "test_a()",
        "TestB().test_b()",
        "if not _result.wasSuccessful(): raise AssertionError",
    ]
    assert [set(case.required) for case in tests] == [{0}, set(), set()]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "f(1)",
        "def check(f): assert f(1) == 2",
        "class A:\n  def test_x(self): 0",
        "async def test_a(): assert f(1)",
    ],
)
def test_what_could_never_fail_is_refused(source: str) -> None:
    with pytest.raises(RejectedRecordError):
        split_tests(source)
