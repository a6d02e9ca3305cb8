"""The keeper: holds a warm interpreter (numpy and sympy imported) and forks a supervised child for each request.

It runs no code but ours. A request is one message on its socket with the child's five descriptors; the child and the
host then talk to each other, and the keeper never hears of it again.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import types
from pathlib import Path

from purify.sandbox.inside import seccomp
from purify.sandbox.inside.kernel import forbid_new_capabilities, fork_into_new_namespaces
from purify.sandbox.inside.protocol import DESCRIPTORS, SESSION
from purify.sandbox.inside.runner import Setup
from purify.sandbox.inside.supervisor import supervise

PRELOADED = ("numpy", "numpy.random", "sympy", "ast", "linecache", "traceback", "threading", "signal")


def main(requests_fd: int, site_packages: list[str]) -> None:
    """Serve requests until the host closes its end of the socket."""
    sys.path.extend(site_packages)
    warm_up()
    setup = Setup(
        seccomp.assemble(os.uname().machine, programs=True),
        address_space=int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE"),
        own_uid=os.getuid() == 0,
    )
    for name in [name for name in sys.modules if name.split(".")[0] == "purify"]:
        del sys.modules[name]  # a program that imports purify must not find these
    forbid_new_capabilities()
    gc.collect()
    gc.freeze()  # a child's collector never touches, and so never copies, what was here before it
    # Dead children are reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    requests = socket.socket(fileno=requests_fd)
    requests.send(b"ready")
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 16, DESCRIPTORS)
        if not request:
            return
        pid = fork_into_new_namespaces()
        if pid == 0:
            try:
                os.close(requests_fd)
                supervise(setup, descriptors, session=request == SESSION)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def warm_up() -> None:
    """Import what programs use most, and run each once, so that what they set up on first use is set up here."""
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
