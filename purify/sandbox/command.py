"""The `bwrap` command line of a worker: what of the host is visible inside, and nothing else is."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

from purify.sandbox.inside.protocol import KEEPER_UID, PROGRAM_UID

INSIDE = Path(__file__).parent / "inside"

# The namespace package `purify` inside holds `purify.sandbox.inside` alone; an installed one must not shadow it.
_BOOT = """
import sys
paths = list(sys.path)
sys.path[:] = ["/keeper", *(path for path in paths if not path.endswith("-packages"))]
from purify.sandbox.inside.keeper import main
sys.path[:] = paths
main(int(sys.argv[1]), sys.argv[2:])
"""

_ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "USER": "sandbox",
    # Sets of strings keep one order, so the same program prints the same.
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # Otherwise every thread reserves 64 MiB of address space, which is limited.
    "MALLOC_ARENA_MAX": "1",
    # One thread a program: many run at once, and threads do not survive the keeper's fork.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
}

# What the keeper needs to make namespaces and the supervisor to end them; in this user namespace only, and dropped
# before a program starts.
_KEEPER_CAPABILITIES = ("SYS_ADMIN", "SYS_CHROOT", "SETUID", "SETGID", "SETPCAP", "KILL", "SYS_PTRACE")

PREINSTALLED = ("numpy", "sympy", "mpmath")


def bwrap_command(bwrap: str, requests: int, seccomp: int, info: int, block: int | None) -> list[str]:
    """The command of one worker, which inherits the descriptors.

    With `block`, bwrap waits there until its users are mapped from outside, so that root can give programs a user of
    their own; otherwise it maps the one user that runs it.
    """
    uid = str(PROGRAM_UID if block is None else KEEPER_UID)
    arguments = [bwrap, *isolation(), "--uid", uid, "--gid", uid, "--seccomp", str(seccomp), "--info-fd", str(info)]
    for capability in _KEEPER_CAPABILITIES:
        arguments += ["--cap-add", f"CAP_{capability}"]
    if block is not None:
        arguments += ["--userns-block-fd", str(block)]
    return [*arguments, "--", interpreter(), "-s", "-P", "-c", _BOOT, str(requests), *map(str, site_packages())]


def isolation() -> list[str]:
    """Namespaces, environment and file system: what every process inside has in common."""
    arguments = ["--unshare-all", "--unshare-user", "--hostname", "sandbox"]
    arguments += ["--clearenv", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    for name, value in _ENVIRONMENT.items():
        arguments += ["--setenv", name, value]
    arguments += [*_system(), *_python(), *_devices()]
    arguments += ["--proc", "/proc", "--dir", "/tmp", "--ro-bind", str(INSIDE), "/keeper/purify/sandbox/inside"]
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]


def interpreter() -> str:
    """The interpreter itself, not the virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def site_packages() -> list[Path]:
    """Where the packages are that programs may import."""
    found = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    for package in PREINSTALLED:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parents[1])
    return [path for path in dict.fromkeys(found) if path.is_dir()]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            arguments += ["--ro-bind", str(path), str(path)]
    for file in ("/etc/ld.so.cache", "/etc/alternatives"):
        arguments += ["--ro-bind-try", file, file]
    return arguments


def _python() -> list[str]:
    arguments: list[str] = []
    prefixes = (Path(sys.base_prefix).resolve(), Path(sys.base_exec_prefix).resolve())
    for path in dict.fromkeys((*prefixes, *site_packages())):
        if not path.is_relative_to("/usr"):
            for parent in reversed(path.parents[:-1]):
                # bwrap would copy the host's mode: below a closed /root a program could not read its own interpreter.
                arguments += ["--perms", "0755", "--dir", str(parent)]
            arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def _devices() -> list[str]:
    arguments = ["--tmpfs", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom"):
        arguments += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return [*arguments, "--symlink", "/tmp", "/dev/shm"]  # named semaphores: in the call's own /tmp
