"""Ordinary programs run as in plain Python; sessions keep names; death, cancelling and closing leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from purify.sandbox import Limits
from purify.sandbox.bubblewrap import Bubblewrap
from purify.sandbox.worker import SPARES
from tests.sandbox.support import alive, descendants, eventually, needs_bwrap

pytestmark = needs_bwrap

PROGRAMS = {
    "prints": "print('a')\nprint('é', end='')",
    "traceback": "def f(x):\n    return 1 / x\n\nprint('before')\nf(0)",
    "chained": "try:\n    {}['a']\nexcept KeyError as error:\n    raise ValueError('no') from error",
    "syntax": "x = 1\nif x\n    print(x)",
    "indentation": "def f():\nreturn 1",
    "tabs": "if True:\n\tx = 1\n        y = 2",
    "exit_code": "raise SystemExit(3)",
    "exit_text": "import sys\nsys.exit('stop here')",
    "exit_zero": "print(1)\nexit()",
    "name": "print(__name__, __file__)\nassert __spec__ is None and __builtins__\nmissing",
    "thread": "import threading\ndef f(): boom\nt = threading.Thread(target=f)\nt.start()\nt.join()\nprint('after')",
    "printed_traceback": "import traceback\ntry:\n    int('x')\nexcept ValueError:\n    traceback.print_exc()",
    "exit_handler": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "hook": "import sys\nsys.excepthook = lambda *error: print('hook', error[0])\n1 / 0",
    "assertion": "assert 1 == 2, 'one'",
    "exception_group": "raise ExceptionGroup('g', [ValueError(1), TypeError('t')])",
    "notes": "e = ValueError('x')\ne.add_note('a note')\nraise e",
    "stdin": "print(input() + input())\nprint(input())",
    "modules": "import sympy, numpy\nprint(sympy.solve('x**2 - 2'), numpy.arange(3).sum())",
    "processes": "import subprocess, sys\nprint(subprocess.check_output([sys.executable, '-c', 'print(5)']))",
    "pool": "from multiprocessing import Pool\nwith Pool(2) as pool: print(pool.map(abs, [-1, 2]))",
    "asyncio": "import asyncio\nasync def f(): return 7\nprint(asyncio.run(f()))",
    "files": "open('a.txt', 'w').write('x')\nimport os\nprint(sorted(os.listdir()))",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "hash_order": "print({'a', 'b', 'c', 'd', 'e'})",
    "interrupt": "raise KeyboardInterrupt",
}
STDIN = "1\n2\n"


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def sandbox(runner: asyncio.Runner) -> Iterator[Bubblewrap]:
    sandbox = Bubblewrap(2, Limits(memory_mb=512))
    runner.run(sandbox.start())
    yield sandbox
    runner.run(sandbox.close())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_as_in_plain_python(
    name: str, runner: asyncio.Runner, sandbox: Bubblewrap, tmp_path: Path
) -> None:
    code = PROGRAMS[name]
    file = tmp_path / "main.py"
    file.write_text(code)
    plain = subprocess.run(
        [sys.executable, str(file)],
        input=STDIN,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONHASHSEED": "0", "LANG": "C.UTF-8", "PATH": os.environ["PATH"]},
        timeout=60,
    )
    execution = runner.run(sandbox.run(code, STDIN))
    stdout, stderr = (text.replace(str(tmp_path), "/tmp") for text in (plain.stdout, plain.stderr))
    assert (execution.stdout, execution.stderr) == (stdout, stderr)
    ok = plain.returncode == 0
    assert execution.status == ("ok" if ok else "error")
    assert (execution.error_type is None) == ok


def test_the_error_is_named(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    async def name(code: str) -> str | None:
        return (await sandbox.run(code)).error_type

    assert runner.run(name("x")) == "NameError"
    assert runner.run(name("class Odd(Exception): pass\nraise Odd")) == "Odd"
    assert runner.run(name("import sys\nsys.exit(1)")) == "SystemExit"
    assert runner.run(name("import sys\nsys.exit(None)")) is None


def test_numbers_are_random_again_in_every_call(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    code = "import numpy, random\nprint(random.random(), numpy.random.rand())"

    async def several() -> list[str]:
        return [execution.stdout for execution in await asyncio.gather(*(sandbox.run(code) for _ in range(8)))]

    outputs = runner.run(several())
    for column in (0, 1):
        assert len({output.split()[column] for output in outputs}) == 8


def test_long_output_is_cut_and_the_program_goes_on(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    execution = runner.run(sandbox.run("print('é' * 1000)", limits=Limits(output_kb=1)))
    assert (execution.status, execution.stdout) == ("ok", "é" * 512 + "\n[977 more bytes of output were cut]\n")


def test_long_input_that_nobody_reads(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    text = "x" * 3_000_000
    assert runner.run(sandbox.run("print(1)", text)).stdout == "1\n"
    assert runner.run(sandbox.run("import sys\nprint(len(sys.stdin.read()))", text)).stdout == "3000000\n"


def test_long_code(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    code = "x = 1\n" * 300_000 + "print(x)"
    assert runner.run(sandbox.run(code, limits=Limits(wall_s=30, cpu_s=30))).stdout == "1\n"


def test_one_hundred_calls_at_once(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    async def all_of_them() -> list[str]:
        calls = (sandbox.run(f"print({n} ** 2, input())", str(n)) for n in range(100))
        return [execution.stdout for execution in await asyncio.gather(*calls)]

    assert runner.run(all_of_them()) == [f"{n**2} {n}\n" for n in range(100)]


def test_a_session_keeps_names_and_shows_the_last_value(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    async def cells(*codes: str) -> list[tuple[str, str, str]]:
        session = await sandbox.session()
        try:
            executions = [await session.run(code) for code in codes]
        finally:
            await session.close()
        return [(one.status, one.stdout, one.stderr) for one in executions]

    trace = 'Traceback (most recent call last):\n  File "<cell 3>", line 2, in <module>\n    y = 1 / 0\n        ~~^~~\n'
    assert runner.run(
        cells("x = 20", "x += 1\nx * 2", "x = 5\ny = 1 / 0", "x", "_", "None", "def f(:", "print(x)")
    ) == [
        ("ok", "", ""),
        ("ok", "42\n", ""),
        ("error", "", f"{trace}ZeroDivisionError: division by zero\n"),
        ("ok", "5\n", ""),
        ("ok", "5\n", ""),
        ("ok", "", ""),
        ("error", "", '  File "<cell 7>", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'),
        ("ok", "5\n", ""),
    ]


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("while True: pass", ("timeout", "TimeLimit")),
        ("import os\nos._exit(0)", ("error", "early_exit")),
        ("import os\nos.kill(os.getpid(), 9)", ("error", "signal_SIGKILL")),
        ("import os\nos.write(3, b'0 \\n')", ("error", "early_exit")),
        ("import os\nos.closerange(3, 99)", ("error", "early_exit")),
        ("while True: print('x' * 1000)", ("error", "OutputLimit")),
    ],
)
def test_a_session_that_dies_starts_afresh_and_says_so(
    code: str, ends: tuple[str, str], runner: asyncio.Runner, sandbox: Bubblewrap
) -> None:
    async def cells() -> None:
        session = await sandbox.session(Limits(wall_s=2.0))
        assert (await session.run("x = 1\nx")).stdout == "1\n"
        ended = await session.run(code)
        assert (ended.status, ended.error_type) == ends, ended
        after = await session.run("x")
        assert (after.status, after.error_type) == ("error", "NameError")
        assert after.stderr.startswith("The interpreter was restarted: all earlier names are gone.\nTraceback")
        again = await session.run("y = 2\ny")
        assert (again.status, again.stdout, again.stderr) == ("ok", "2\n", "")
        await session.close()

    runner.run(cells())


def test_limits_of_a_session_count_for_each_cell(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    busy = "import time\nend = time.process_time() + 0.7\nwhile time.process_time() < end: pass"

    async def cells() -> list[str]:
        session = await sandbox.session(Limits(cpu_s=1))
        statuses: list[str] = [(await session.run(busy)).status for _ in range(3)]
        await session.close()
        return statuses

    assert runner.run(cells()) == ["ok", "ok", "ok"]


def test_sessions_share_nothing(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    async def cells() -> None:
        one, other = await sandbox.session(), await sandbox.session()
        await one.run("x = 1\nopen('f', 'w').write('x')")
        assert (await other.run("x")).error_type == "NameError"
        assert (await other.run("import os\nos.listdir()")).stdout == "[]\n"
        assert (await one.run("x")).stdout == "1\n"
        await one.close()
        await other.close()

    runner.run(cells())


def test_a_cancelled_call_ends_its_program(runner: asyncio.Runner, sandbox: Bubblewrap) -> None:
    async def cancel() -> None:
        call = asyncio.create_task(sandbox.run("while True: pass"))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await sandbox.run("print(1)")).stdout == "1\n"

        def count() -> int:
            return sum(len(descendants(worker.first_pid or 0)) for worker in sandbox.workers)

        assert eventually(lambda: count() == len(sandbox.workers) * (2 + 2 * SPARES))

    runner.run(cancel())


def _kill(sandbox: Bubblewrap, victim: str) -> None:
    """Kill the keeper, or its first child, which is the warm interpreter."""
    below = descendants(_first(sandbox) or 0)
    (keeper,) = [pid for pid in below if _parent(pid) == _first(sandbox)]
    warm = min(pid for pid in below if _parent(pid) == keeper)
    os.kill({"keeper": keeper, "warm interpreter": warm}[victim], signal.SIGKILL)


def _first(sandbox: Bubblewrap) -> int | None:
    return sandbox.workers[0].first_pid


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("victim", ["keeper", "warm interpreter"])
def test_what_dies_under_a_call_is_replaced_and_the_call_repeated_once(victim: str) -> None:
    async def kill(times: int) -> tuple[str, str]:
        sandbox = Bubblewrap(1)
        try:
            await sandbox.start()
            call = asyncio.create_task(sandbox.run("import time\ntime.sleep(1)\nprint('done')"))
            for _ in range(times):
                await asyncio.sleep(0.5)
                first = _first(sandbox)
                _kill(sandbox, victim)
                while not call.done() and _first(sandbox) in (first, None):
                    await asyncio.sleep(0.01)
                while not call.done() and not sandbox.workers[0].ready:
                    await asyncio.sleep(0.01)
            execution = await call
            assert (await sandbox.run("print(2)")).stdout == "2\n"
            return execution.status, execution.stdout
        finally:
            await sandbox.close()

    assert asyncio.run(kill(1)) == ("ok", "done\n")
    assert asyncio.run(kill(2)) == ("infra", "")


def test_closing_leaves_nothing_behind() -> None:
    async def open_and_close() -> None:
        sandbox = Bubblewrap(2)
        await sandbox.start()
        session = await sandbox.session()
        await session.run("import os\nos.fork()")
        call = asyncio.create_task(sandbox.run("while True: pass"))
        await asyncio.sleep(0.2)
        processes = {pid for worker in sandbox.workers for pid in descendants(worker.first_pid or 0)}
        assert len(processes) > 8
        await sandbox.close()
        assert [pid for pid in processes if alive(pid)] == []
        assert (await call).status == "infra"
        assert (await sandbox.run("print(1)")).status == "infra"

    asyncio.run(open_and_close())


HOST = """
import asyncio, sys
from purify.sandbox.bubblewrap import Bubblewrap

async def main():
    sandbox = Bubblewrap(2)
    await sandbox.start()
    session = await sandbox.session()
    await session.run("x = 1")
    call = asyncio.create_task(sandbox.run("while True: pass"))
    await asyncio.sleep(0.2)
    print("running", flush=True)
    await call

asyncio.run(main())
"""


def test_killing_the_host_leaves_nothing_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", HOST], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "running\n"
        processes = descendants(host.pid)
        assert len(processes) > 8
        host.kill()
        started = time.monotonic()
    assert eventually(lambda: not any(alive(pid) for pid in processes)), time.monotonic() - started
