"""The warm interpreter: has numpy and sympy imported, and forks a child of itself into a supervisor's namespaces.

A supervisor's request is one message with its own pidfd, a pipe for the child's exit status, and the program's four
descriptors. Programs run only in the children.
"""

from __future__ import annotations

import gc
import os
import select
import socket
import sys
import types
from pathlib import Path

from purify.sandbox.inside import kernel, seccomp
from purify.sandbox.inside.protocol import SESSION, STATUS
from purify.sandbox.inside.runner import Setup, become_program

PRELOADED = ("numpy", "numpy.random", "sympy", "ast", "linecache", "traceback", "threading", "signal")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def keep_warm(requests: socket.socket, site_packages: list[str]) -> None:
    """Serve until the keeper is gone; it takes this process along."""
    sys.path.extend(site_packages)
    warm_up()
    for name in [name for name in sys.modules if name.split(".")[0] == "purify"]:
        del sys.modules[name]  # a program that imports purify must not find these
    gc.collect()
    gc.freeze()  # a child's collector never touches, and so never copies, what was here before it
    total, resident = map(int, Path("/proc/self/statm").read_text().split()[:2])
    filter_ = seccomp.assemble(os.uname().machine, programs=True)
    setup = Setup(filter_, address_space=total * _PAGE, own_uid=os.getuid() == 0)
    requests.send(f"{resident * _PAGE / 2**20:.1f}".encode())
    children: dict[int, tuple[int, int]] = {}  # by pidfd: pid, pipe for the status
    poller = select.poll()
    poller.register(requests, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd != requests.fileno():
                poller.unregister(fd)
                _report(fd, *children.pop(fd))
                continue
            request, descriptors, _, _ = socket.recv_fds(requests, 16, 6)
            if not request:
                return
            pidfd, status, *program = descriptors
            try:
                child = _fork_into(pidfd, setup, program, session=request == SESSION)
            except OSError:
                os.close(status)  # the supervisor is dead already, or learns it from this
            else:
                ended = os.pidfd_open(child)
                children[ended] = (child, status)
                poller.register(ended, select.POLLIN)
            for descriptor in (pidfd, *program):
                os.close(descriptor)


def _fork_into(supervisor: int, setup: Setup, program: list[int], *, session: bool) -> int:
    """Fork a child that is in the supervisor's namespaces; for the PID namespace that takes a fork."""
    kernel.enter(supervisor, kernel.NEW_PID)
    child = os.fork()
    if child == 0:
        try:
            # When memory runs out, a program goes, not the host's processes. Behind the next line there is no /proc.
            Path("/proc/self/oom_score_adj").write_text("1000")
            kernel.enter(supervisor, kernel.NEW_MOUNTS | kernel.NEW_IPC)
        except OSError:
            os._exit(1)
        become_program(setup, program, session=session)
    return child


def _report(ended: int, child: int, status: int) -> None:
    os.close(ended)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.write(status, STATUS.pack(code))
    except BrokenPipeError:
        pass  # the supervisor is dead
    finally:
        os.close(status)


def warm_up() -> None:
    """Import what programs use most, and run it once, so that what is set up on first use is set up here."""
    modules: dict[str, types.ModuleType] = {}
    for name in PRELOADED:
        try:
            __import__(name)
            modules[name] = sys.modules[name]
        except ImportError:
            continue
    if "sympy" in modules:
        sympy = modules["sympy"]
        x = sympy.Symbol("x")
        sympy.solve(x**2 - 3 * x + 2, x)
        sympy.simplify(sympy.sin(x) ** 2 + sympy.cos(x) ** 2)
        sympy.integrate(x**2, (x, 0, 1))
        sympy.factorint(360)
    try:
        exec(compile("def f(): return missing\nf()", "warm", "exec"), {})
    except NameError as error:
        modules["traceback"].format_exception(error)
