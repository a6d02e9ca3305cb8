"""The program's process: gives up every right, waits for the job, runs it, and says at the end that it got there.

Proof of completion: before the program starts, a token from the host is put into a buffer of libc, where no Python
object points to it. Only the runner's last steps flush it. A program that leaves early (`os._exit(0)`) loses it. What
remains: one that calls into libc itself can do what the runner does. It gains no more than `sys.exit(0)` gives anyone.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import signal
import sys
import traceback
from typing import Any, NamedTuple, NoReturn

from purify.sandbox.inside import kernel
from purify.sandbox.inside.notebook import Notebook
from purify.sandbox.inside.program import Ended, run_main
from purify.sandbox.inside.protocol import PROGRAM_UID, READY

CHANNEL = 3
HOME = "/tmp"
FILE_BYTES = 32 << 20
OPEN_FILES = 128
OTHER_TASKS = 64
"""The kernel counts the keeper's other children too, so it only breaks the rush; the supervisor counts exactly."""

_exit, _write, _getpid, _getframe = os._exit, os.write, os.getpid, sys._getframe


class Setup(NamedTuple):
    """What the keeper prepared for all programs."""

    filter: bytes
    address_space: int
    """Bytes that the warm interpreter takes before any program."""
    own_uid: bool
    """Whether programs get a user of their own (the host's `nobody`), which takes a host run by root."""


def become_program(setup: Setup, descriptors: list[int], *, session: bool) -> NoReturn:
    """Never returns: the process ends with the program."""
    code = 125
    try:
        _confine(setup, descriptors)
        _write(CHANNEL, READY)
        code = _run_cells(setup) if session else _run_one(setup)
    except BaseException:
        traceback.print_exc()
    finally:
        _exit(code)


def _confine(setup: Setup, descriptors: list[int]) -> None:
    channel, stdin, stdout, stderr = descriptors
    for target, fd in enumerate((stdin, stdout, stderr, channel)):
        os.dup2(fd, target, inheritable=target != CHANNEL)
    os.closerange(CHANNEL + 1, 1 << 20)
    os.setsid()  # a signal to its process group must not reach ours
    for name, most in (("CORE", 0), ("NOFILE", OPEN_FILES), ("MEMLOCK", 0), ("FSIZE", FILE_BYTES)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    kernel.clear_ambient_capabilities()
    if setup.own_uid:
        os.setgroups([])
        os.setresgid(PROGRAM_UID, PROGRAM_UID, PROGRAM_UID)
        os.setresuid(PROGRAM_UID, PROGRAM_UID, PROGRAM_UID)
    kernel.drop_capabilities()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(HOME)
    os.umask(0o022)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what was printed survives a kill
    _seed()
    gc.enable()
    kernel.install_filter(setup.filter)


def _seed() -> None:
    """Children of one keeper must not all draw the same random numbers."""
    random.seed()
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(int.from_bytes(os.urandom(4), "big"))  # from an int: 60 times faster than from nothing


class Seal:
    """The token of a job, out of a program's sight until the runner breaks the seal."""

    def __init__(self) -> None:
        self._owner = _getpid()
        self._stream = kernel.libc.fdopen(os.dup(CHANNEL), b"w")
        self._flush = kernel.libc.fflush

    def close(self, token: str) -> None:
        raw = bytes.fromhex(token)
        kernel.libc.fwrite(raw, 1, len(raw), self._stream)

    def open(self, ended: Ended) -> None:
        """Send the token and the program's account of its end: exit code, then the exception's name if there was one.

        A forked copy of the program keeps silent, and so does a program that found this object and called it: its own
        frames are still on the stack.
        """
        runner = _getframe(1)
        above = runner.f_back
        if runner.f_code in _RUNNERS and above and above.f_code is _BECOME and _getpid() == self._owner:
            self._flush(None)
            _write(CHANNEL, f"{ended.exit_code} {ended.error_type or ''}\n".encode())


def _receive_job() -> dict[str, Any] | None:
    """The next job: its length in 8 bytes, then JSON. None when the host has closed its end."""
    data = bytearray()
    while len(data) < 8 or len(data) < 8 + int.from_bytes(data[:8], "big"):
        more = os.read(CHANNEL, 1 << 20)
        if not more:
            return None
        data += more
    job: dict[str, Any] = json.loads(data[8:])
    return job


def _limit(setup: Setup, job: dict[str, Any]) -> None:
    """The limits that the kernel keeps for each process; the supervisor keeps those of all of them together."""
    tasks = job["processes"] + OTHER_TASKS
    space = setup.address_space + (job["memory_mb"] << 20)
    resource.setrlimit(resource.RLIMIT_NPROC, (tasks, tasks))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _run_one(setup: Setup) -> int:
    job = _receive_job()
    if job is None:
        return 0
    _limit(setup, job)
    seal = Seal()
    seal.close(job.pop("token"))
    ended = run_main(job.pop("code"))
    seal.open(ended)
    return ended.exit_code & 0xFF


def _run_cells(setup: Setup) -> int:
    notebook, seal = Notebook(), Seal()
    while (job := _receive_job()) is not None:
        _limit(setup, job)
        seal.close(job.pop("token"))
        seal.open(notebook.run(job.pop("code")))
    return 0


_RUNNERS, _BECOME = (_run_one.__code__, _run_cells.__code__), become_program.__code__
