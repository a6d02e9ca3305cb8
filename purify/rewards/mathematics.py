"""`math`: answers are compared as mathematics by the `math-verify` library, in worker processes.

Parsing what a model wrote can take forever or all memory (`9^{9^{9}}`), and the library's own timeouts need the main
thread. A worker that overruns its limits is ended by the kernel, the answer counts as wrong, and another worker starts.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from purify.errors import PurifyError
from purify.rewards.answers import last_boxed
from purify.rewards.base import Verdict, judged
from purify.tasks import Task
from purify_schemas import Trajectory

_WORKER = Path(__file__).parent / "inside" / "math_worker.py"
_TAIL = 2000
"""Without a box the answer is looked for in the last characters: the library's search grows with the square."""
_OVERRUN = {-signal.SIGPROF, -signal.SIGALRM}


class MathLimits(BaseModel):
    """What one comparison may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_s: float = Field(default=3.0, gt=0, description="CPU seconds of one comparison.")
    wall_s: float = Field(default=30.0, gt=0, description="Seconds of one comparison, on however busy a machine.")
    memory_mb: int = Field(default=2048, ge=512, description="Address space of a worker, in MiB.")


class MathVerifier:
    """`workers` processes compare; they start with the first trajectories and live until `close`."""

    name = "math"

    def __init__(self, limits: MathLimits | None = None, workers: int = 2) -> None:
        """Raises `PurifyError` where math-verify is not installed."""
        if find_spec("math_verify") is None:
            raise PurifyError("the verifier math needs math-verify: pip install 'purify-trajectories[generate]'")
        self._limits = limits or MathLimits()
        self._free = asyncio.Semaphore(workers)
        self._idle: list[Process] = []

    async def __call__(self, task: Task, trajectory: Trajectory) -> Verdict:
        if task.answer is None:
            return Verdict(None, problem="the task has no answer to compare with")
        if trajectory.answer is None:
            return judged(self.name, correct=False)
        async with self._free:
            return await self._compare(_as_gold(task.answer), _as_prediction(trajectory.answer))

    async def close(self) -> None:
        """End the workers; none is left when this returns."""
        while self._idle:
            await _end(self._idle.pop())

    async def _compare(self, gold: str, prediction: str) -> Verdict:
        worker = self._idle.pop() if self._idle else await self._start()
        done = False
        try:
            request = json.dumps({"gold": gold, "prediction": prediction}).encode() + b"\n"
            first, second = await _ask(worker, request)
            done = second != b""
        finally:
            if done:
                self._idle.append(worker)
            else:  # it overran, or this trajectory was cancelled in the middle
                await _end(worker)
        if first == b"unreadable\n":
            return Verdict(None, problem="math-verify finds no expression in the task's answer")
        if first == b"":
            how = "takes longer than the limit" if worker.returncode in _OVERRUN else "crashed the comparison"
            return Verdict(None, problem=f"the task's answer {how}")
        return judged(self.name, correct=second == b"equal\n")

    async def _start(self) -> Process:
        limits = (self._limits.cpu_s, self._limits.wall_s, self._limits.memory_mb)
        # -P: nothing in the worker's folder or the current one stands in for a library.
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(_WORKER), *map(str, limits), stdin=PIPE, stdout=PIPE, start_new_session=True
        )


async def _ask(worker: Process, request: bytes) -> tuple[bytes, bytes]:
    """What it says of the task's answer, and of the comparison; empty where it ended before."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(request)
        await worker.stdin.drain()
    except ConnectionError:
        return b"", b""
    first = await worker.stdout.readline()
    if first != b"readable\n":
        return first, first
    return first, await worker.stdout.readline()


async def _end(worker: Process) -> None:
    assert worker.stdin is not None
    worker.stdin.close()
    if worker.returncode is None:
        worker.kill()
    await worker.wait()


def _as_gold(answer: str) -> str:
    """The expected answer is mathematics whether or not it stands in `$`."""
    boxed = last_boxed(answer)
    if boxed is None and any(mark in answer for mark in ("$", r"\(", r"\[")):
        return answer
    return rf"\boxed{{{answer if boxed is None else boxed}}}"


def _as_prediction(answer: str) -> str:
    boxed = last_boxed(answer)
    return answer[-_TAIL:] if boxed is None else rf"\boxed{{{boxed}}}"
