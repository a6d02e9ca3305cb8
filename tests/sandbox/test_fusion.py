"""The SandboxFusion client, against a stand-in server that answers as SandboxFusion does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from purify.errors import PurifyError
from purify.sandbox import Execution, Limits
from purify.sandbox.fusion import SandboxFusion
from purify.sandbox.loading import load_sandbox
from tests.sandbox.fusion_server import StandIn, serving

LIMITS = Limits(wall_s=1, memory_mb=128, output_kb=1)


@pytest.fixture
def server() -> Iterator[StandIn]:
    with serving() as stand_in:
        yield stand_in


def run(url: str, code: str, stdin: str = "", limits: Limits = LIMITS) -> Execution:
    async def call() -> Execution:
        sandbox = SandboxFusion(url, limits=limits)
        try:
            return await sandbox.run(code, stdin)
        finally:
            await sandbox.close()

    return asyncio.run(call())


def test_a_program(server: StandIn) -> None:
    execution = run(server.url, "print(input() * 2)", "ab\n", Limits(wall_s=7, memory_mb=128))
    assert (execution.status, execution.stdout, execution.stderr) == ("ok", "abab\n", "")
    assert execution.error_type is None
    assert 0 < execution.duration_s < 7
    assert server.requests == [
        {
            "code": "print(input() * 2)",
            "language": "python",
            "stdin": "ab\n",
            "compile_timeout": 7.0,
            "run_timeout": 7.0,
            "memory_limit_MB": 128,
            "files": {},
            "fetch_files": [],
        }
    ]


def test_an_error_is_named(server: StandIn) -> None:
    execution = run(server.url, "print(1)\n1 / 0")
    assert (execution.status, execution.error_type, execution.stdout) == ("error", "ZeroDivisionError", "1\n")
    assert execution.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert run(server.url, "raise SystemExit(3)").error_type == "exit_3"


def test_a_timeout(server: StandIn) -> None:
    execution = run(server.url, "print(1, flush=True)\nwhile True: pass")
    assert (execution.status, execution.error_type) == ("timeout", "TimeLimit")
    assert (execution.stdout, execution.stderr) == ("1\n", "Stopped: ran longer than 1 s.\n")


def test_output_is_cut(server: StandIn) -> None:
    assert run(server.url, "print('x' * 2000)").stdout == "x" * 1024 + "\n[977 more bytes of output were cut]\n"


def test_dropped_connections_are_tried_again(server: StandIn) -> None:
    server.drop = 2
    assert run(server.url, "print(1)").stdout == "1\n"
    server.drop = 9
    execution = run(server.url, "print(1)")
    assert execution.status == "infra"
    assert execution.stderr.startswith(f"The sandbox failed: {server.url} cannot be reached: ")
    assert server.drop == 5


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (200, json.dumps({"status": "SandboxError", "message": "no pod", "run_result": None}).encode()),
            "SandboxFusion reports: no pod",
        ),
        ((200, b"<html>"), "{url} answered what is not SandboxFusion's: "),
        ((200, b'{"status": "Success"}'), "SandboxFusion reports: Success"),
        ((503, b""), "{url} answered HTTP 503"),
    ],
)
def test_failures_of_the_server_are_not_the_programs(answer: tuple[int, bytes], reason: str, server: StandIn) -> None:
    server.answer = answer
    execution = run(server.url, "print(1)")
    assert (execution.status, execution.error_type) == ("infra", None)
    assert execution.stderr.startswith("The sandbox failed: " + reason.format(url=server.url))


def test_surrogates_do_not_break_the_request(server: StandIn) -> None:
    assert run(server.url, "print('\ud800')").stdout == "?\n"


def test_no_more_than_its_workers_at_once(server: StandIn) -> None:
    async def calls() -> list[str]:
        sandbox = SandboxFusion(server.url, workers=3, limits=Limits())
        try:
            return [one.stdout for one in await asyncio.gather(*(sandbox.run(f"print({n})") for n in range(12)))]
        finally:
            await sandbox.close()

    assert asyncio.run(calls()) == [f"{n}\n" for n in range(12)]


def test_sessions_are_refused(server: StandIn) -> None:
    async def session() -> None:
        sandbox = SandboxFusion(server.url)
        try:
            await sandbox.session()
        finally:
            await sandbox.close()

    with pytest.raises(PurifyError, match="has no stateful sessions; use --sandbox bubblewrap"):
        asyncio.run(session())


def test_loading_tries_the_server(server: StandIn) -> None:
    async def load(url: str | None) -> str:
        sandbox = await load_sandbox("auto" if url else "fusion", url=url, limits=LIMITS)
        await sandbox.close()
        return sandbox.name

    assert asyncio.run(load(server.url)) == "sandbox_fusion"
    with pytest.raises(PurifyError, match="needs the server's address: --sandbox-url"):
        asyncio.run(load(None))
    server.drop = 99
    with pytest.raises(PurifyError, match="'sandbox_fusion' cannot run a trivial program: The sandbox failed"):
        asyncio.run(load(server.url))
