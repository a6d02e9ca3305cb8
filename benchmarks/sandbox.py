"""Calls a second and latency of the sandbox, beside cold interpreters and a bare fork, in one run.

python -m benchmarks.sandbox                # 200 warm and 10 cold calls of each kind
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from purify.sandbox.bubblewrap import Bubblewrap
from purify.sandbox.command import interpreter, isolation, site_packages

TRIVIAL = "print(6 * 7)"
WITH_SYMPY = "import sympy\nx = sympy.Symbol('x')\nprint(sympy.diff(x**3, x))"
ANSWERS = {TRIVIAL: "42\n", WITH_SYMPY: "3*x**2\n"}
IMPORTS = "import numpy, sympy\n"
"""What a cold interpreter has to do for having sympy at hand, as the warm one has."""
THINKING_S = 0.02
"""An agent's pause between two calls, in which the next child is forked."""

Run = Callable[[str], Awaitable[str]]


class Taken(NamedTuple):
    """Latencies of calls one after another, in seconds, and calls a second with all workers busy."""

    latencies: list[float]
    rate: float


async def measure(run: Run, code: str, calls: int, at_once: int, pause_s: float = 0.0) -> Taken:
    latencies = []
    for _ in range(calls):
        started = time.perf_counter()
        answer = await run(code)
        latencies.append(time.perf_counter() - started)
        assert answer == ANSWERS[code], answer
        await asyncio.sleep(pause_s)
    left = iter(range(calls))

    async def caller() -> None:
        for _ in left:
            await run(code)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return Taken(latencies, calls / (time.perf_counter() - started))


def cold(command: list[str]) -> Run:
    """A new interpreter for each call."""

    async def run(code: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            IMPORTS + code,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # as in the sandbox
        )
        return (await process.communicate())[0].decode()

    return run


def cold_sandboxed() -> Run:
    paths = ":".join(map(str, site_packages()))
    return cold(["bwrap", *isolation(), "--setenv", "PYTHONPATH", paths, "--", interpreter(), "-s", "-P", "-c"])


async def bare_fork(code: str) -> str:
    """The floor: fork this process, which has sympy too, compile, run, and read a pipe. No isolation, no event loop."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(code, "main.py", "exec"), {"__name__": "__main__"})
        os.write(write, output.getvalue().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


async def main(calls: int, cold_calls: int, workers: int) -> None:
    for code in ANSWERS:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(code, {})  # for the bare fork: this process is as warm as the sandbox's
    sandbox = Bubblewrap(workers)
    await sandbox.start()

    async def warm(code: str) -> str:
        return (await sandbox.run(code)).stdout

    try:
        # Cold and warm are measured one after another within each program, so a busy machine slows both alike.
        print(f"{workers} workers\n{'':44s}   p50 ms   p95 ms   calls/s")
        for label, code in (("trivial program", TRIVIAL), ("program that uses sympy", WITH_SYMPY)):
            print(f"{label}")
            paused = await measure(warm, code, calls, workers, THINKING_S)
            rows = {
                "sandbox, agents that pause 20 ms": paused,
                "sandbox, call after call": await measure(warm, code, calls, workers),
                "cold interpreter in bwrap, imports sympy": await measure(cold_sandboxed(), code, cold_calls, workers),
                "cold interpreter, imports sympy": await measure(
                    cold([sys.executable, "-c"]), code, cold_calls, workers
                ),
                "bare fork, no isolation (floor)": await measure(bare_fork, code, calls, 1),
            }
            for name, taken in rows.items():
                p50 = statistics.median(taken.latencies) * 1000
                p95 = statistics.quantiles(taken.latencies, n=20)[-1] * 1000
                print(f"  {name:42s} {p50:8.1f} {p95:8.1f} {taken.rate:9.1f}")
            _, busy, isolated, plain, _ = rows.values()
            print(f"  sandbox / cold in bwrap {busy.rate / isolated.rate:.0f} x, / cold {busy.rate / plain.rate:.0f} x")
    finally:
        await sandbox.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--cold-calls", type=int, default=10)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.calls, arguments.cold_calls, arguments.workers))
