"""`unit_tests`: run the answer's code against the task's tests in the sandbox.

The code is hostile. Where tests are pairs of input and output, or `assert f(x) == 4`, the expected values never enter
the sandbox: the only way to pass is to give them. Leaving early (`sys.exit(0)`, `os._exit(0)`) loses the reports and so
passes nothing; objects that equal everything are no plain values and pass nothing.

What is left: `assert f(x)` and the like ask for a truth that can be guessed; comparisons of two computed values, loops,
`with` and TestCase methods are decided in the interpreter of the code under test. Code that digs the nonce out of the
frames above it could forge those: under bubblewrap it must then still come to a regular end, elsewhere `os._exit(0)`
will do (a test shows both). Prefer asserts on values, or input and output.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from purify.errors import RejectedRecordError
from purify.rewards.answers import last_python_block
from purify.rewards.base import Verdict, judged
from purify.rewards.reports import passes, read_reports
from purify.sandbox import Execution, Limits, Sandbox
from purify.tasks import IoTest, Task
from purify.tasks.assertions import split_tests
from purify_schemas import Trajectory

_CHECK = Path(__file__).parent / "inside" / "check.py"
_AT_ONCE = 8
_REPORTS_KB = 1024


class UnitTests:
    """The part `unit_tests` is the share of tests that passed; the answer is correct if all did."""

    name = "unit_tests"

    def __init__(self, sandbox: Sandbox, limits: Limits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits or Limits()
        self._check = _CHECK.read_text(encoding="utf-8")

    async def __call__(self, task: Task, trajectory: Trajectory) -> Verdict:
        if not task.tests:
            return Verdict(None, problem="the task has no tests")
        if trajectory.answer is None:
            return judged(self.name, correct=False)
        code = last_python_block(trajectory.answer)
        try:
            if isinstance(task.tests, str):
                passed = await self._assertions(code, task.tests)
            else:
                passed = await self._pairs(code, task.tests)
        except _SandboxFailedError as error:
            return Verdict(None, problem=f"the sandbox failed: {error}")
        except RejectedRecordError as error:
            return Verdict(None, problem=str(error))
        return judged(self.name, correct=all(passed), share=sum(passed) / len(passed))

    async def close(self) -> None:
        """The sandbox belongs to whoever opened it."""

    async def _pairs(self, code: str, tests: Sequence[IoTest]) -> list[bool]:
        """One run a test, some at once. After a timeout the rest counts as failed: a hang would cost one each."""
        passed: list[bool] = []
        for start in range(0, len(tests), _AT_ONCE):
            some = tests[start : start + _AT_ONCE]
            executions = await asyncio.gather(*(self._run(code, test.input, len(test.output)) for test in some))
            passed += [
                execution.status == "ok" and _lines(execution.stdout) == _lines(test.output)
                for execution, test in zip(executions, some, strict=True)
            ]
            if any(execution.status == "timeout" for execution in executions):
                break
        return passed + [False] * (len(tests) - len(passed))

    async def _assertions(self, code: str, tests: str) -> list[bool]:
        """All asserts in one run, in order, in the namespace of the code."""
        split = split_tests(tests)
        nonce = secrets.token_hex(16)
        job = {"nonce": nonce, "code": code, "cases": [case.source for case in split.cases]}
        execution = await self._run(self._check, json.dumps(job), _REPORTS_KB << 8)
        reports = read_reports(execution.stdout, nonce) if execution.status == "ok" else {}
        return [
            passes(case, reports.get(index, []), split.observations)
            for index, case in enumerate(split.cases)
            if case.is_test
        ]

    async def _run(self, code: str, stdin: str, output: int) -> Execution:
        """Room is left for `output` characters of up to four bytes."""
        limits = self._limits.model_copy(update={"output_kb": max(self._limits.output_kb, output // 256 + 1)})
        execution = await self._sandbox.run(code, stdin, limits)
        if execution.status == "infra":
            raise _SandboxFailedError(execution.text.strip().split("\n", 1)[0])
        return execution


class _SandboxFailedError(Exception):
    pass


def _lines(text: str) -> list[str]:
    """Lines without the space at their ends, which no judge counts."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
