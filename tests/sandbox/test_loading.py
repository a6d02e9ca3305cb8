"""Which sandbox is opened, what is said where there is none, and the two that isolate nothing."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from pathlib import Path

import pytest

from purify.errors import PurifyError
from purify.sandbox import Execution, Limits
from purify.sandbox.loading import load_sandbox
from purify.sandbox.report import isolation_report
from purify.sandbox.scripted import Scripted
from purify.sandbox.unsafe import Unsafe
from tests.sandbox.fusion_server import serving
from tests.sandbox.support import alive, eventually, needs_bwrap


async def name_of(unsafe: bool = False) -> str:
    sandbox = await load_sandbox("auto", workers=1, unsafe=unsafe)
    await sandbox.close()
    return sandbox.name


@needs_bwrap
def test_isolation_is_used_where_there_is_one() -> None:
    assert asyncio.run(name_of()) == "bubblewrap"
    assert asyncio.run(name_of(unsafe=True)) == "bubblewrap"


def test_without_bwrap_it_refuses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PurifyError) as refusal:
        asyncio.run(name_of())
    assert str(refusal.value) == (
        "bwrap is not installed; apt-get install bubblewrap (or dnf, pacman, apk), "
        "or run without isolation: --unsafe-sandbox"
    )
    assert asyncio.run(name_of(unsafe=True)) == "unsafe"


def test_where_bwrap_may_not_isolate_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bwrap that ends as the real one does where user namespaces are forbidden."""
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "bwrap").write_text(
        f"#!{shell}\necho 'bwrap: No permissions to create new namespace, because of the kernel' >&2\nexit 1\n"
    )
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PurifyError) as refusal:
        asyncio.run(name_of())
    message = str(refusal.value)
    assert message.startswith("bwrap cannot isolate here (bwrap: No permissions to create new namespace")
    assert "--unsafe-sandbox" in message
    assert "\n" not in message
    name, usable, detail = asyncio.run(isolation_report())[0]
    assert (name, usable, detail) == ("bubblewrap", False, message)


@needs_bwrap
def test_the_report_tries_each() -> None:
    with serving() as server:
        (one, other) = asyncio.run(isolation_report(server.url))
    assert one[:2] == ("bubblewrap", True)
    assert one[2].startswith("ran a program (namespaces, seccomp, ")
    assert other == ("sandbox_fusion", True, f"ran a program at {server.url}")
    assert asyncio.run(isolation_report())[1][:2] == ("sandbox_fusion", False)


def test_scripted_answers_what_is_written_down() -> None:
    answer = Execution("ok", "42\n", "", None, 0.0)

    async def calls() -> None:
        sandbox = Scripted({"print(6 * 7)": answer})
        assert await sandbox.run("print(6 * 7)", "in") == answer
        assert await (await sandbox.session()).run("print(6 * 7)") == answer
        with pytest.raises(KeyError):
            await sandbox.run("other")
        assert sandbox.calls == [("print(6 * 7)", "in"), ("print(6 * 7)", ""), ("other", "")]
        echo = Scripted(lambda code: Execution("ok", code, "", None, 0.0), delay_s=0.05)
        started = time.monotonic()
        executions = await asyncio.gather(*(echo.run(str(n)) for n in range(20)))
        assert [one.stdout for one in executions] == [str(n) for n in range(20)]
        assert time.monotonic() - started < 0.9

    asyncio.run(calls())


def unsafely(code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
    return asyncio.run(Unsafe(1, limits).run(code, stdin))


def test_unsafe_runs_a_program() -> None:
    execution = unsafely("import os\nprint(input(), sorted(os.listdir()))", "a\n")
    assert (execution.status, execution.stdout, execution.stderr) == ("ok", "a ['main.py']\n", "")
    failed = unsafely("x = 1\ny")
    assert (failed.status, failed.error_type) == ("error", "NameError")
    # Before Python 3.13 the file's name is as it was given, after that absolute.
    assert failed.stderr.splitlines()[1].endswith('main.py", line 2, in <module>')
    assert unsafely("raise SystemExit(4)").error_type == "exit_4"
    assert unsafely("import os\nos.abort()").error_type == "signal_SIGABRT"
    assert unsafely("print('\ud800')").error_type == "SyntaxError"


def test_unsafe_keeps_limits() -> None:
    limits = Limits(wall_s=0.5, memory_mb=128, output_kb=1, cpu_s=1)
    late = unsafely("print(1)\nwhile True: pass", limits=limits)
    assert (late.status, late.error_type, late.stdout) == ("timeout", "TimeLimit", "1\n")
    busy = unsafely("while True: pass", limits=limits.model_copy(update={"wall_s": 10}))
    assert (busy.status, busy.error_type) == ("timeout", "CpuLimit")
    loud = unsafely("while True: print('x' * 100)", limits=limits.model_copy(update={"wall_s": 10}))
    assert (loud.status, loud.error_type) == ("error", "OutputLimit")
    big = unsafely("bytearray(10 ** 9)", limits=limits)
    assert (big.status, big.error_type) == ("error", "MemoryError")


def test_unsafe_ends_what_a_program_leaves_running() -> None:
    execution = unsafely("import os, time\npid = os.fork()\nif not pid: time.sleep(60)\nprint(pid)")
    assert execution.status == "ok"
    assert execution.duration_s < 30
    assert eventually(lambda: not alive(int(execution.stdout)))


def test_unsafe_refuses_sessions() -> None:
    with pytest.raises(PurifyError, match="no stateful sessions; install bubblewrap"):
        asyncio.run(Unsafe().session())
    assert sys.version_info >= (3, 11)
