"""The host's side of one prepared child: hands it a job, reads its pipes, and learns from PID 1 how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any

from purify.sandbox.base import Execution, Limits
from purify.sandbox.capture import Capture, Feeder
from purify.sandbox.inside.protocol import READY
from purify.sandbox.verdict import Account, Outcome, verdict

GRACE_S = 10.0
"""PID 1 keeps the time; one that says nothing so long after its deadline is given up."""
MOST_SAID = 1 << 16


class ChildLostError(Exception):
    """The keeper or PID 1 died, or could not set the child up: the sandbox failed, not the program."""


@dataclass(slots=True)
class _Cell:
    """One job under way."""

    token: str
    started: float


class Child:
    """Made in advance; `inner` are the five descriptors that the keeper gives to its fork."""

    def __init__(self) -> None:
        self._control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel, channel = socket.socketpair()
        stdin, stdin_end = os.pipe()
        stdout_end, stdout = os.pipe()
        stderr_end, stderr = os.pipe()
        self.inner = [control.detach(), channel.detach(), stdin, stdout, stderr]
        self._control.setblocking(False)
        self._channel.setblocking(False)
        self._stdin, self._stdout, self._stderr = Feeder(stdin_end), Capture(stdout_end), Capture(stderr_end)
        self._ready = False
        self._loop = asyncio.get_running_loop()

    def release(self) -> None:
        """Close the child's ends here, once the keeper has them."""
        while self.inner:
            os.close(self.inner.pop())

    async def run(self, code: str, stdin: str, limits: Limits) -> Execution:
        """Run one program to its end. The child is used up."""
        self._stdin.start(stdin)
        cell = await self._begin(code, limits)
        ended = await self._ended(limits)
        return self._judge(cell, ended, self._said(), limits)

    async def run_cell(self, code: str, limits: Limits) -> tuple[Execution, bool]:
        """Run one cell of a session. Also returns whether its interpreter lives on."""
        self._stdin.close()
        cell = await self._begin(code, limits)
        ended = asyncio.ensure_future(self._ended(limits))
        report = asyncio.ensure_future(self._line())
        try:
            await asyncio.wait({ended, report}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and report.result().endswith(b"\n"):
                self._send({})
                execution = self._judge(cell, {"exit": 0, "limit": None}, report.result(), limits)
                return execution, _account(report.result(), cell.token) is not None
            return self._judge(cell, await ended, await report, limits), False
        finally:
            for task in (ended, report):
                task.cancel()
            await asyncio.gather(ended, report, return_exceptions=True)

    def close(self) -> None:
        """Let go: PID 1 sees its socket close, and the program ends with it."""
        self.release()
        self._control.close()
        self._channel.close()
        for end in (self._stdin, self._stdout, self._stderr):
            end.close()

    async def _begin(self, code: str, limits: Limits) -> _Cell:
        cell = _Cell(secrets.token_hex(16), time.perf_counter())
        for capture in (self._stdout, self._stderr):
            capture.start(limits.output_kb << 10, lambda: self._send({"stop": "output"}))
        job = {"token": cell.token, "code": code, "processes": limits.processes, "memory_mb": limits.memory_mb}
        data = json.dumps(job).encode()
        self._send({"limits": limits.model_dump()})
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await self._loop.sock_sendall(self._channel, len(data).to_bytes(8, "big") + data)
        return cell

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended: what it reported is still to be read
            self._control.send(json.dumps(message).encode())

    async def _ended(self, limits: Limits) -> dict[str, Any]:
        """PID 1's report."""
        try:
            async with asyncio.timeout(limits.wall_s + GRACE_S):
                message = await self._loop.sock_recv(self._control, 4096)
        except (TimeoutError, ConnectionResetError):
            message = b""
        if not message:
            raise ChildLostError("the keeper or the supervisor of the call died")
        report: dict[str, Any] = json.loads(message)
        if "failed" in report:
            raise ChildLostError(report["failed"])
        return report

    def _said(self) -> bytes:
        """All that came over the program's channel; everything inside is dead by now."""
        data = b""
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while len(data) < MOST_SAID and (more := self._channel.recv(MOST_SAID)):
                data += more
        return self._after_ready(data)

    async def _line(self) -> bytes:
        """One line of the program's channel, or what there is of it when the program has ended."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while len(data) < MOST_SAID and not data.endswith(b"\n"):
                more = await self._loop.sock_recv(self._channel, MOST_SAID)
                if not more:
                    break
                data += more
        return self._after_ready(data)

    def _after_ready(self, said: bytes) -> bytes:
        if self._ready:
            return said
        if not said.startswith(READY):
            raise ChildLostError(f"a child was not set up: {self._stderr.finish().strip()}")
        self._ready = True
        return said[len(READY) :]

    def _judge(self, cell: _Cell, ended: dict[str, Any], said: bytes, limits: Limits) -> Execution:
        outcome = Outcome(
            exit_code=ended["exit"],
            limit=ended["limit"],
            account=_account(said, cell.token),
            stdout=self._stdout.finish(),
            stderr=self._stderr.finish(),
            duration_s=time.perf_counter() - cell.started,
        )
        return verdict(outcome, limits)


def _account(said: bytes, token: str) -> Account | None:
    """The program's own account of its end, if the token before it proves that the runner wrote it."""
    match = _SAID.fullmatch(said.removeprefix(bytes.fromhex(token)))
    if match is None or len(said) == len(match[0]):
        return None
    return Account(int(match[1]), match[2].decode(errors="replace") or None)


_SAID = re.compile(rb"(-?\d{1,20}) ([^\n]{0,400})\n")
