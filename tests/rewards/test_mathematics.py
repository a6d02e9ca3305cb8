"""The math verifier: what counts as equal, and expressions that would hang or fill the memory."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from purify.errors import PurifyError
from purify.rewards.base import Verdict
from purify.rewards.mathematics import MathLimits, MathVerifier
from tests.rewards.support import answered, task

pytest.importorskip("math_verify")
RIGHT, WRONG = Verdict(1.0, {"math": 1.0}), Verdict(-1.0, {"math": 0.0})
QUICK = MathLimits(cpu_s=1)


def judge(pairs: Sequence[tuple[str, str | None]], limits: MathLimits | None = None, workers: int = 1) -> list[Verdict]:
    """The verdicts over pairs of expected and given answer, all asked at once."""

    async def work() -> list[Verdict]:
        verifier = MathVerifier(limits, workers)
        try:
            return list(await asyncio.gather(*(verifier(task(gold), answered(said)) for gold, said in pairs)))
        finally:
            await verifier.close()

    return asyncio.run(work())


def workers_alive() -> list[str]:
    """Command lines of this process's math workers."""
    children = [
        pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()
    ]  # fmt: skip
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in children]
    return [line for line in lines if "math_worker" in line]


def test_answers_that_are_equal() -> None:
    pairs = [
        ("72", "So the answer is 72."),
        ("72", r"First 71, then \boxed{72}."),
        (r"\frac{1}{2}", "0.5"),
        (r"$\frac{1}{2}$", r"\boxed{1/2}"),
        (r"\boxed{3}", "3"),
        ("1,000", "1000"),
        ("x = 5", r"\boxed{5}"),
        (r"\sqrt{8}", r"$2\sqrt{2}$"),
        (r"\{1, 2\}", r"\boxed{\{2, 1\}}"),
        ("1.50", "3/2"),
    ]
    assert judge(pairs) == [RIGHT] * len(pairs)


def test_answers_that_are_not() -> None:
    pairs = [
        ("72", r"72, no: \boxed{71}"),
        ("72", r"\boxed{72}, no: \boxed{71}"),
        ("72", "no idea"),
        ("72", ""),
        ("72", None),
        (r"\frac{1}{2}", "2"),
        ("72", r"\boxed{71} or $72$"),
    ]
    assert judge(pairs) == [WRONG] * len(pairs)


HOSTILE = [
    r"\boxed{9^{9^{9}}}",
    "10**10**10",
    r"\boxed{10^{10^{10}}}",
    r"\boxed{1000000000!}",
    "(" * 50_000,
    r"\boxed{" * 5_000 + "}" * 5_000,
    "9" * 1_000_000,
    "1 " * 500_000,
    "\x00\ud800" + "{" * 1000,
]


def test_hostile_answers_are_wrong_in_bounded_time() -> None:
    started = time.monotonic()
    good = ("72", "72")
    verdicts = judge([pair for said in HOSTILE for pair in (("72", said), good)], QUICK, workers=2)
    assert verdicts == [WRONG, RIGHT] * len(HOSTILE)
    assert time.monotonic() - started < 60
    assert workers_alive() == []


def test_memory_is_bounded() -> None:
    async def work() -> tuple[Verdict, str]:
        verifier = MathVerifier(MathLimits(memory_mb=600))
        try:
            verdict = await verifier(task("2"), answered("2"))
            return verdict, Path(f"/proc/{verifier._idle[0].pid}/limits").read_text()
        finally:
            await verifier.close()

    verdict, limits = asyncio.run(work())
    assert verdict == RIGHT
    (space,) = (line.split()[3:5] for line in limits.splitlines() if line.startswith("Max address space"))
    assert space == [str(600 << 20)] * 2


def test_expected_answers_that_cannot_be_read_are_a_problem_of_the_task() -> None:
    assert judge([("", "3")]) == [Verdict(None, {}, "math-verify finds no expression in the task's answer")]


def test_a_worker_that_was_killed_is_no_wrong_answer() -> None:
    async def work() -> list[Verdict]:
        verifier = MathVerifier(QUICK, workers=1)
        try:
            first = await verifier(task("2"), answered("2"))
            (worker,) = verifier._idle
            worker.kill()
            await worker.wait()
            return [first, *[await verifier(task("2"), answered("2")) for _ in range(2)]]
        finally:
            await verifier.close()

    assert asyncio.run(work()) == [RIGHT, Verdict(None, {}, "the task's answer crashed the comparison"), RIGHT]


def test_a_cancelled_comparison_leaves_no_worker() -> None:
    async def work() -> Verdict:
        verifier = MathVerifier(workers=1)
        try:
            hanging = asyncio.create_task(verifier(task("72"), answered(HOSTILE[0])))
            while not workers_alive():
                await asyncio.sleep(0.01)
            hanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await hanging
            assert workers_alive() == []
            return await verifier(task("72"), answered("72"))
        finally:
            await verifier.close()

    assert asyncio.run(work()) == RIGHT


def test_it_works_off_the_main_thread() -> None:
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.extend(judge([("2", "2"), ("2", "3")])))
    thread.start()
    thread.join(60)
    assert found == [RIGHT, WRONG]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(PurifyError) as error:
        MathVerifier()
    assert str(error.value) == "the verifier math needs math-verify: pip install 'purify-trajectories[generate]'"
