"""No isolation: a plain interpreter with this user's rights, for `--unsafe-sandbox` alone.

Limits on memory, CPU time and file size are set and the process group is killed at the end, but the code can read and
change whatever you can. Use it for code that you trust, such as your own tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from purify.errors import PurifyError
from purify.sandbox.base import Execution, Limits, Session
from purify.sandbox.capture import Capture, Feeder
from purify.sandbox.fusion import exit_error
from purify.sandbox.verdict import Account, Outcome, verdict

INTERPRETER_MB = 256
"""Address space that an interpreter takes before any program."""

# Sets its own limits, then becomes the program: nothing of it is seen in tracebacks.
_LIMITED = """
import os, resource, sys
cpu, space = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
resource.setrlimit(resource.RLIMIT_AS, (space, space))
resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 20, 32 << 20))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv(sys.executable, [sys.executable, "-u", "main.py"])
"""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Unsafe:
    """Runs each program in a directory of its own, which is removed afterwards. Exit code 0 counts as `ok`."""

    name = "unsafe"

    def __init__(self, workers: int | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._slots = asyncio.Semaphore(workers or os.cpu_count() or 1)

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        async with self._slots:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                (Path(folder) / "main.py").write_bytes(code.encode("utf-8", "surrogatepass"))
                return await _run(folder, stdin, limits or self.limits)

    async def session(self, limits: Limits | None = None) -> Session:
        raise PurifyError("without isolation there are no stateful sessions; install bubblewrap")

    async def close(self) -> None:
        pass


async def _run(folder: str, stdin: str, limits: Limits) -> Execution:
    inner_in, stdin_end = os.pipe()
    stdout_end, inner_out = os.pipe()
    stderr_end, inner_err = os.pipe()
    feeder, stdout, stderr = Feeder(stdin_end), Capture(stdout_end), Capture(stderr_end)
    started = time.perf_counter()
    space = limits.memory_mb + INTERPRETER_MB << 20
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _LIMITED, str(limits.cpu_s), str(space)],
            stdin=inner_in,
            stdout=inner_out,
            stderr=inner_err,
            cwd=folder,
            env=os.environ | _ONE_THREAD,
            start_new_session=True,
        )
    finally:
        for fd in (inner_in, inner_out, inner_err):
            os.close(fd)
    limit: list[str] = []
    try:
        for capture in (stdout, stderr):
            capture.start(limits.output_kb << 10, lambda: _kill(process, limit, "output"))
        feeder.start(stdin)
        exited = os.pidfd_open(process.pid)
        try:
            await _wait(exited, process, limits.wall_s, limit)
        finally:
            os.close(exited)
    finally:
        _kill(process, limit, None)
        process.wait()
        outcome = Outcome(
            exit_code=process.returncode,
            limit="cpu" if process.returncode == -signal.SIGXCPU else next(iter(limit), None),
            account=Account(0, None) if process.returncode == 0 else None,
            stdout=stdout.finish(),
            stderr=stderr.finish(),
            duration_s=time.perf_counter() - started,
        )
        for end in (feeder, stdout, stderr):
            end.close()
    if outcome.exit_code and outcome.exit_code > 0 and outcome.limit is None:
        error_type = exit_error(outcome.exit_code, outcome.stderr)
        return Execution("error", outcome.stdout, outcome.stderr, error_type, outcome.duration_s)
    return verdict(outcome, limits)


async def _wait(exited: int, process: subprocess.Popen[bytes], wall_s: float, limit: list[str]) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(exited, ended.set)
    try:
        async with asyncio.timeout(wall_s):
            await ended.wait()
    except TimeoutError:
        _kill(process, limit, "wall")
    finally:
        loop.remove_reader(exited)


def _kill(process: subprocess.Popen[bytes], limit: list[str], reason: str | None) -> None:
    if reason is not None:
        limit.append(reason)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
