"""The local sandbox: warm interpreters under bubblewrap, one fork a call.

python -c 'import asyncio; from purify.sandbox.bubblewrap import try_it; asyncio.run(try_it("print(6 * 7)"))'
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace

from purify.errors import PurifyError
from purify.sandbox.base import Execution, Limits
from purify.sandbox.child import Child, ChildLostError
from purify.sandbox.inside.protocol import SESSION
from purify.sandbox.worker import Worker

ATTEMPTS = 2


class Bubblewrap:
    """`workers` calls at once; further ones wait. Nothing of a call is seen by another."""

    name = "bubblewrap"

    def __init__(self, workers: int | None = None, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.workers = [Worker() for _ in range(workers or os.cpu_count() or 1)]
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        for worker in self.workers:
            self._idle.put_nowait(worker)
        self._sessions: set[BubblewrapSession] = set()
        self._next_session = 0
        self._closed = False

    async def start(self) -> None:
        """Start the workers now instead of with the first calls. Raises `PurifyError` if they cannot isolate."""
        await asyncio.gather(*(worker.ensure_started() for worker in self.workers))

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        """Run a program in a fresh interpreter. Once more if the sandbox breaks under it, then `infra`."""
        reason = "it was closed"
        for _ in range(ATTEMPTS):
            async with self.slot() as worker:
                if self._closed:
                    break
                try:
                    child = await worker.take()
                    try:
                        return await child.run(code, stdin, limits or self.limits)
                    finally:
                        child.close()
                except (ChildLostError, PurifyError) as error:
                    reason = str(error)
                    await worker.stop()
                finally:
                    worker.prepare()
        return failed(reason)

    async def session(self, limits: Limits | None = None) -> BubblewrapSession:
        """A stateful interpreter. Its cells wait for a free worker like any call."""
        worker = self.workers[self._next_session % len(self.workers)]
        self._next_session += 1
        await worker.ensure_started()
        session = BubblewrapSession(self, worker, limits or self.limits)
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """End everything, calls under way too; returns when no process is left."""
        self._closed = True
        for session in list(self._sessions):
            await session.close()
        await asyncio.gather(*(worker.stop() for worker in self.workers))

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[Worker]:
        worker = await self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put_nowait(worker)

    def forget(self, session: BubblewrapSession) -> None:
        self._sessions.discard(session)


class BubblewrapSession:
    """Cells run one after another in one process, and names stay.

    A process that dies, or is stopped at a limit, takes the names along: the next cell starts afresh and says so on
    standard error. The proof of completion is weaker than a program's: what one cell leaves running can watch the next.
    """

    def __init__(self, sandbox: Bubblewrap, worker: Worker, limits: Limits) -> None:
        self._sandbox, self._worker, self._limits = sandbox, worker, limits
        self._child: Child | None = None
        self._lost = False
        self._turn = asyncio.Lock()

    async def run(self, code: str) -> Execution:
        async with self._turn, self._sandbox.slot():
            began_afresh = False
            try:
                if self._child is None:
                    began_afresh, self._lost = self._lost, True
                    await self._worker.ensure_started()
                    self._child = self._worker.fork(SESSION)
                execution, alive = await self._child.run_cell(code, self._limits)
            except (ChildLostError, PurifyError) as error:
                execution, alive = failed(str(error)), False
            except BaseException:
                self._end()  # cancelled in the middle of a cell: what it was doing is unknown
                raise
            if not alive:
                self._end()
        if began_afresh:
            note = "The interpreter was restarted: all earlier names are gone."
            execution = replace(execution, stderr=f"{note}\n{execution.stderr}")
        return execution

    async def close(self) -> None:
        self._end()
        self._sandbox.forget(self)

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def failed(reason: str) -> Execution:
    return Execution("infra", "", f"The sandbox failed: {reason}.", None, 0.0)


async def try_it(code: str) -> None:
    """Run one program and print how it ended."""
    sandbox = Bubblewrap(workers=1)
    try:
        print(await sandbox.run(code))
    finally:
        await sandbox.close()
