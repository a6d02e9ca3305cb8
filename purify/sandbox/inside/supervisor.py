"""PID 1 of one call: makes its world, has the program forked into it, and ends everything when it is over.

The program cannot signal it (PID 1 takes no signal from its own namespace), trace it, or reach its descriptors. When
it exits, the kernel kills whatever the program left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any, NamedTuple

from purify.sandbox.inside import kernel
from purify.sandbox.inside.protocol import PROGRAM_UID, SESSION, STATUS

FIRST_TICK_S, TICK_S = 0.01, 0.02
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Of all processes of a call together."""

    cpu_s: float
    tasks: int
    resident_mb: dict[str, float]
    """Of each process, beyond the warm interpreter that it began as."""


def supervise(warm: socket.socket, kind: bytes, descriptors: list[int], *, base_mb: float) -> None:
    """Have one program or session run under the limits that the host sends, and report how it ended.

    `base_mb` is what the warm interpreter takes by itself.
    """
    control_fd, *program = descriptors
    control = socket.socket(fileno=control_fd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # the keeper ignores it; ignored, there would be nothing to wait for
    os.setsid()
    try:
        processes = _make_world()
        ended, status = os.pipe()
        me = os.pidfd_open(os.getpid())
        socket.send_fds(warm, [kind], [me, status, *program])
        warm.close()
        for fd in (me, status, *program):
            os.close(fd)
        report = _watch(control, processes, ended, base_mb, session=kind == SESSION)
    except OSError as error:
        report = {"failed": str(error)}
    with contextlib.suppress(OSError):  # the host may be gone
        control.send(json.dumps(report).encode())


def _make_world() -> int:
    """A fresh /tmp, and /proc empty for the program; returns the hidden process table as a directory descriptor."""
    owner = f"uid={PROGRAM_UID},gid={PROGRAM_UID}"
    kernel.mount("tmpfs", "/tmp", kernel.NOSUID | kernel.NODEV, f"size=32m,nr_inodes=4096,mode=700,{owner}")
    kernel.mount("proc", "/proc", kernel.NOSUID | kernel.NODEV | kernel.NOEXEC, "")
    processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    cover = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC | kernel.READ_ONLY
    kernel.mount("tmpfs", "/proc", cover, "size=4k,nr_inodes=1,mode=555")
    return processes


def _watch(control: socket.socket, processes: int, ended: int, base_mb: float, *, session: bool) -> dict[str, Any]:
    """Until the program ends, the host calls it off, or a limit is broken. Everything is dead when this returns.

    The program's parent, which hears how it ended, is the warm interpreter: `ended` is the pipe on which it tells.
    """
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(ended, select.POLLIN)
    limits: dict[str, Any] | None = None
    deadline = cpu_before = 0.0
    tick = FIRST_TICK_S
    broken: str | None = None
    while broken is None:
        wait = None if limits is None else max(0.0, min(deadline - time.monotonic(), tick)) * 1000
        ready = [fd for fd, _ in poller.poll(wait)]
        if ended in ready:
            break
        if ready:
            message = control.recv(4096)
            if not message:
                break  # the host closed its end, or died
            order = json.loads(message)
            broken = order.get("stop")
            limits = order.get("limits")  # none between the cells of a session
            if limits is not None:
                deadline = time.monotonic() + limits["wall_s"]
                cpu_before = _usage(processes, base_mb).cpu_s if session else 0.0
                tick = FIRST_TICK_S
        elif limits is not None:
            _reap_orphans()
            broken = _broken_limit(processes, limits, cpu_before, base_mb)
            if broken is None and time.monotonic() >= deadline:
                broken = "wall"
            tick = TICK_S
    code = _end_everything(ended)
    if code is None:
        return {"failed": "the warm interpreter died, or could not fork"}
    return {"exit": code if broken is None else None, "limit": broken}


def _broken_limit(processes: int, limits: dict[str, Any], cpu_before: float, base_mb: float) -> str | None:
    usage = _usage(processes, base_mb)
    if usage.cpu_s - cpu_before > limits["cpu_s"]:
        return "cpu"
    if usage.tasks > limits["processes"]:
        return "processes"
    most = limits["memory_mb"]
    if sum(usage.resident_mb.values()) > most and _exact_mb(processes, usage.resident_mb) > most:
        return "memory"
    return None


def _usage(processes: int, base_mb: float) -> Usage:
    cpu_ticks = tasks = 0
    resident: dict[str, float] = {}
    for name in os.listdir(processes):
        if not name.isdigit() or name == "1":
            continue
        try:
            # After the last ')': a process can choose a name with blanks and brackets.
            fields = _read(processes, f"{name}/stat").rpartition(")")[2].split()
            cpu_ticks += sum(map(int, fields[11:15]))
            tasks += int(fields[17]) if fields[0] != "Z" else 0
            resident[name] = int(fields[21]) * _PAGE / 2**20 - base_mb
        except (OSError, IndexError):
            continue  # it has just ended
    reaped = sum(os.times()[2:4])
    return Usage(cpu_ticks / _CLOCK_TICKS + reaped, tasks, resident)


def _exact_mb(processes: int, resident: dict[str, float]) -> float:
    """Forked processes share pages: the sum of the shares of each, which takes the kernel a while to add up."""
    total = 0.0
    for name, estimate in resident.items():
        try:
            rollup = _read(processes, f"{name}/smaps_rollup")
            total += int(rollup.partition("\nPss:")[2].split()[0]) / 1024
        except (OSError, IndexError):
            total += estimate
    return total


def _read(processes: int, path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=processes)
    try:
        return os.read(fd, 65536).decode(errors="replace")
    finally:
        os.close(fd)


def _reap_orphans() -> None:
    """PID 1 inherits the processes whose parents ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_everything(ended: int) -> int | None:
    """Kill all processes of the namespace and wait until they are gone. Returns the program's exit code or -signal."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    told = os.read(ended, STATUS.size)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    return STATUS.unpack(told)[0] if told else None
