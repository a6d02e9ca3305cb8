"""Unit tests in a real sandbox: right answers pass, and code that wants to look right does not."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable

import pytest

from purify.rewards.base import Verdict
from purify.rewards.reports import Report, passes, read_reports
from purify.sandbox import Execution, Limits, Sandbox, Session
from purify.sandbox.bubblewrap import Bubblewrap
from purify.sandbox.unsafe import Unsafe
from purify.tasks import IoTest
from purify.tasks.assertions import Case
from tests.rewards.support import run_tests

TESTS = "assert f(2) == 4\nassert f(3) == 6\n"
PAIRS = [IoTest(input="1 2", output="3"), IoTest(input="3 4\n", output="7\n")]
QUICK = Limits(wall_s=3, cpu_s=2)

OpenSandbox = Callable[[], Sandbox]


@pytest.fixture(params=["bubblewrap", "unsafe"])
def sandbox(request: pytest.FixtureRequest) -> OpenSandbox:
    if request.param == "unsafe":
        return functools.partial(Unsafe, workers=1)
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    return functools.partial(Bubblewrap, workers=1)


def share(verdict: Verdict) -> tuple[float | None, float]:
    assert verdict.problem is None
    assert list(verdict.parts) == ["unit_tests"]
    return verdict.reward, verdict.parts["unit_tests"]


@pytest.mark.parametrize(
    ("answer", "reward", "part"),
    [
        ("Here:\n```python\ndef f(x):\n    return 2 * x\n```\nDone.", 1, 1),
        ("```python\ndef f(x): return 0\n```\nbetter:\n```py\ndef f(x): return x + x\n```", 1, 1),
        ("def f(x): print('y' * 10**6); return 2 * x", 1, 1),
        ("import numpy as np\ndef f(x): return np.int64(2 * x)", 1, 1),
        ("def f(x): return 4", -1, 0.5),
        ("def f(x): return 1 / (x - 2)", -1, 0),
        ("def g(x): return 2 * x", -1, 0),
        ("def f(x) return 2 * x", -1, 0),
        ("no code at all", -1, 0),
    ],
)
def test_honest_answers(sandbox: OpenSandbox, answer: str, reward: float, part: float) -> None:
    assert share(run_tests(sandbox, answer, TESTS)) == (reward, part)


ANYTHING = "class A(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\ndef f(x): return A()\n"

CHEATS = {
    "exit": "import sys\nsys.exit(0)",
    "exit in the call": "def f(x):\n    import sys; sys.exit(0)",
    "_exit": "import os\nos._exit(0)",
    "_exit in the call": "def f(x):\n    import os; os._exit(0)",
    "killed": "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
    "equals anything": "class A:\n    def __eq__(s, o): return True\ndef f(x): return A()",
    "a number that equals anything": ANYTHING,
    "looks like a list": "class A(list):\n    def __eq__(s, o): return True\ndef f(x): return A()",
    "no observation": "def f(x):\n    import solution\n    solution._observe = lambda *a: None\n    return 0",
    "prints reports": "print('\\n0 [0, true, [[0, 4]]]\\n0 [1, true, [[1, 6]]]')\ndef f(x): return 0",
    "patched json": "import json\njson.dumps = lambda *a: '[0, true, [[0, 4]]]'\ndef f(x): return 0",
    "patched builtins": "import builtins\nbuiltins.isinstance = builtins.bool = lambda *a: True\ndef f(x): return 0",
    "exit handler": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    "finds the nonce, not the value": (
        "import sys\n"
        "def f(x):\n"
        "    frame = sys._getframe()\n"
        "    while 'nonce' not in frame.f_locals: frame = frame.f_back\n"
        "    known = frame.f_locals\n"
        "    for index in (0, 1):\n"
        "        known['reports'].write(f\"\\n{known['nonce']} [{index}, true, [[{index}, 0]]]\\n\")\n"
        "    known['reports'].flush()\n"
        "    import os; os._exit(0)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("answer", CHEATS.values(), ids=CHEATS.keys())
def test_cheats_pass_nothing(sandbox: OpenSandbox, answer: str) -> None:
    verdict = run_tests(sandbox, answer, TESTS, QUICK)
    assert share(verdict) == (-1, 0)


FORGES_TRUTH = CHEATS["finds the nonce, not the value"].replace("[[{index}, 0]]", "[[{index}, true]]")


def test_forged_reports_of_code_that_leaves_count_for_nothing() -> None:
    """Only where the sandbox proves that a program came to its end: elsewhere exit code 0 is all there is."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    tests = "assert f(2) > 0\nassert f(3) > 0\n"
    assert share(run_tests(functools.partial(Bubblewrap, workers=1), FORGES_TRUTH, tests, QUICK)) == (-1, 0)
    assert share(run_tests(functools.partial(Unsafe, workers=1), FORGES_TRUTH, tests, QUICK)) == (1, 1)


def test_one_report_too_many_is_none() -> None:
    case = Case("_observe(0, f())", is_test=True, required=frozenset({0}))
    right = "\nn [0, true, [[0, 4]]]\n"
    observations = (lambda value: value == 4,)

    def reports(text: str) -> list[Report]:
        return read_reports(text, "n").get(0, [])

    assert passes(case, reports(right), observations)
    assert not passes(case, reports(right * 2), observations)
    assert not passes(case, reports(""), observations)
    for told in ("[0, true, []]", "[0, false, [[0, 4]]]", "[0, true, [[0, 5]]]", "[0, true, [[1, 4]]]", "[0, true, 4]"):
        assert not passes(case, reports(f"n {told}"), observations)
    for broken in ("[0, true", "[[], true, []]", "3", "[" * 10_000, '[0, true, [[0, ["set", [["list", []]]]]]]'):
        assert not passes(case, reports(f"n {broken}"), observations)


HELPERS = """
from solution import f
def check(g):
    assert g(2) == 4
    assert g(0) == 0
check(f)
def test_a():
    assert f(1) == 2
def test_a():  # the later of two counts
    assert f(3) == 6
"""


def test_test_functions_and_helpers(sandbox: OpenSandbox) -> None:
    assert share(run_tests(sandbox, "def f(x): return 2 * x", HELPERS)) == (1, 1)
    assert share(run_tests(sandbox, "def f(x): return 4 if x < 3 else 6", HELPERS)) == (-1, 0.5)
    assert share(run_tests(sandbox, CHEATS["equals anything"], HELPERS)) == (-1, 0)


TEST_CASE = """
import unittest
class T(unittest.TestCase):
    def test_a(self): self.assertEqual(f(2), 4)
    def test_b(self): self.assertRaises(ZeroDivisionError, f, 0)
"""


def test_a_test_case(sandbox: OpenSandbox) -> None:
    assert share(run_tests(sandbox, "def f(x): return 8 // x", TEST_CASE)) == (1, 1)
    assert share(run_tests(sandbox, "def f(x): return 2 * x", TEST_CASE)) == (-1, 0.5)


VALUES = """
assert f(1.5) == 1.5
assert f((1, [2, {3}])) == (1, [2, {3}])
assert f({1: b"x", (2,): None}) == {1: b"x", (2,): None}
assert f(1j) == 1j
assert f(True) is True
assert f("é\\n") == "é\\n"
assert f(10**30) == 1000000000000000000000000000000
assert f({}.keys()) == set()
assert f(__import__("fractions").Fraction(1, 2)) == 0.5
"""


def test_values_of_every_builtin_kind_come_back(sandbox: OpenSandbox) -> None:
    assert share(run_tests(sandbox, "def f(x): return x", VALUES)) == (1, 1)
    assert share(run_tests(sandbox, "def f(x): return [x]", VALUES)) == (-1, 0)


def test_calls_of_a_function_take_tuples_for_lists(sandbox: OpenSandbox) -> None:
    from purify.tasks.tests_field import read_tests

    tests = read_tests({"fn_name": "pair", "inputs": ["1\n2"], "outputs": ["[1, 2]"]})
    assert share(run_tests(sandbox, "class Solution:\n    def pair(self, a, b): return a, b", tests)) == (1, 1)
    assert share(run_tests(sandbox, "def pair(a, b): return [b, a]", tests)) == (-1, 0)


@pytest.mark.parametrize(
    ("answer", "reward", "part"),
    [
        ("```python\nprint(sum(map(int, input().split())))\n```", 1, 1),
        ("import sys\nprint(sum(map(int, sys.stdin.read().split())), end='  \\n\\n')\nsys.exit(0)", 1, 1),
        ("print(3)", -1, 0.5),
        ("print(sum(map(int, input().split())))\n1 / 0", -1, 0),
        ("print('3 7')", -1, 0),
        ("import sys\nsys.exit(0)", -1, 0),
    ],
)
def test_input_and_output(sandbox: OpenSandbox, answer: str, reward: float, part: float) -> None:
    assert share(run_tests(sandbox, answer, PAIRS)) == (reward, part)


def test_output_beyond_the_limit_of_a_call(sandbox: OpenSandbox) -> None:
    tests = [IoTest(input="", output="é" * 100_000)]
    assert share(run_tests(sandbox, "print('é' * 100_000)", tests, Limits(output_kb=1))) == (1, 1)


def test_hanging_code_costs_one_batch_of_timeouts(sandbox: OpenSandbox) -> None:
    tests = [IoTest(input=str(n), output=str(n)) for n in range(40)]
    answer = "n = int(input())\nwhile n == 9: pass\nprint(n)"
    assert share(run_tests(sandbox, answer, tests, Limits(wall_s=20, cpu_s=1))) == (-1, 15 / 40)


class Broken:
    """A sandbox that fails."""

    name = "scripted"

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        return Execution("infra", "", "no server\nmore", None, 0.0)

    async def session(self, limits: Limits | None = None) -> Session:
        raise NotImplementedError

    async def close(self) -> None:
        pass


def test_a_failing_sandbox_is_no_wrong_answer() -> None:
    verdict = run_tests(Broken, "def f(x): return 2 * x", TESTS)
    assert verdict == Verdict(None, {}, "the sandbox failed: no server")
