"""One `bwrap` with a warm keeper inside, and the next children that it has forked ahead of time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections import deque

from purify.errors import PurifyError
from purify.sandbox.child import Child, ChildLostError
from purify.sandbox.inside.protocol import PROGRAM
from purify.sandbox.launch import Launched, launch

START_S = 60.0
STOP_S = 5.0
SPARES = 2
"""Children forked ahead of time. Two, so that a call right after another need not wait for its child."""


class Worker:
    """Serves one stateless call at a time, and any number of sessions. Starts when first used, and again if it dies."""

    def __init__(self) -> None:
        self._bwrap: Launched | None = None
        self._requests: socket.socket | None = None
        self._spares: deque[Child] = deque()
        self._starting = asyncio.Lock()

    @property
    def first_pid(self) -> int | None:
        """As the host counts: the first process of the worker's PID namespace; with it all others end."""
        return self._bwrap.first_pid if self._bwrap else None

    @property
    def ready(self) -> bool:
        """Whether children have been forked ahead."""
        return bool(self._spares)

    async def ensure_started(self) -> None:
        """Raises `PurifyError` where bwrap is missing or may not isolate."""
        async with self._starting:
            if self._bwrap is not None and self._bwrap.process.poll() is None:
                return
            await self.stop()
            try:
                await self._start(map_users=os.geteuid() == 0)
            except PermissionError:  # root of a namespace that has no other user to give
                await self._start(map_users=False)
            self.prepare()

    async def take(self) -> Child:
        """A child that was forked ahead of time."""
        await self.ensure_started()
        return self._spares.popleft() if self._spares else self.fork()

    def prepare(self) -> None:
        """Fork the children of the next calls."""
        with contextlib.suppress(ChildLostError):
            while self._requests is not None and len(self._spares) < SPARES:
                self._spares.append(self.fork())

    def fork(self, kind: bytes = PROGRAM) -> Child:
        """Ask the keeper for a child. Raises `ChildLostError` if it is gone."""
        try:
            child = Child()
        except OSError as error:  # too many open files
            raise ChildLostError(str(error)) from None
        try:
            if self._requests is None:
                raise ChildLostError("the worker is not running")
            socket.send_fds(self._requests, [kind], child.inner)
        except OSError as error:
            child.close()
            raise ChildLostError(f"the keeper died ({error})") from None
        child.release()
        return child

    async def stop(self) -> None:
        """End the keeper and everything under it; returns when nothing is left."""
        while self._spares:
            self._spares.pop().close()
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._bwrap is not None:
            bwrap, self._bwrap = self._bwrap, None
            await asyncio.to_thread(bwrap.end, STOP_S)

    async def _start(self, *, map_users: bool) -> None:
        self._requests, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._requests.setblocking(False)
        with tempfile.TemporaryFile() as log, inner:
            self._bwrap = launch(inner.fileno(), log.fileno(), map_users=map_users)
            inner.close()
            ready = b""
            try:
                async with asyncio.timeout(START_S):
                    ready = await asyncio.get_running_loop().sock_recv(self._requests, 16)
            except (TimeoutError, ConnectionResetError):
                pass
            finally:
                if not ready:
                    await self.stop()
            if not ready:
                log.seek(0)
                said = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                raise PurifyError(
                    f"bwrap cannot isolate here ({said or 'it said nothing'}); allow user namespaces "
                    "(sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container "
                    "--security-opt seccomp=unconfined --security-opt systempaths=unconfined), "
                    "use a SandboxFusion server, or run without isolation: --unsafe-sandbox"
                )
