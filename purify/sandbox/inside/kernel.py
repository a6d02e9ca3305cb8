"""System calls that `os` has no name for, through libc: namespaces, mounts, capabilities, seccomp."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from purify.sandbox.inside.seccomp import ARCHITECTURES
from purify.sandbox.inside.syscalls import CLONE

NEW_MOUNTS, NEW_IPC, NEW_PID = 0x00020000, 0x08000000, 0x20000000
NOSUID, NODEV, NOEXEC, READ_ONLY = 2, 4, 8, 1
SIGCHLD = 17

_COLUMN = ARCHITECTURES[os.uname().machine][0]
_CLONE, _CAPSET = CLONE[_COLUMN], (126, 91)[_COLUMN]
_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 22, 38, 47
_CAP_AMBIENT_CLEAR_ALL = 4

# PyDLL keeps the interpreter's lock: a fork in the middle of a call must find it held by this thread.
libc = ctypes.PyDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
libc.fdopen.restype = ctypes.c_void_p
libc.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
libc.fwrite.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
libc.fflush.argtypes = [ctypes.c_void_p]
_syscall = libc.syscall
_syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def fork_into_new_namespaces() -> int:
    """Fork a child that is PID 1 of its own PID namespace, with mount and IPC namespaces of its own.

    `unshare` and `fork` would take two forks. The hooks are those that `os.fork` calls. libc does not hear of this
    fork, so the child's cached thread id is wrong until it forks again; the child runs no code but ours.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = _syscall(
        ctypes.c_long(_CLONE), ctypes.c_long(NEW_MOUNTS | NEW_IPC | NEW_PID | SIGCHLD), None, None, None, None
    )
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return _check(pid, "clone")


def enter(pidfd: int, namespaces: int) -> None:
    """Move into namespaces of another process (Linux 5.8); for `NEW_PID`, only the children to come."""
    _check(libc.setns(pidfd, namespaces), "setns")


def mount(kind: str, target: str, flags: int, options: str) -> None:
    _check(libc.mount(kind.encode(), target.encode(), kind.encode(), flags, options.encode()), f"mount {target}")


def forbid_new_capabilities() -> None:
    """Empty the bounding set: nothing that this process or its children execute can gain a capability."""
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            if ctypes.get_errno() == errno.EINVAL:  # past the kernel's last one
                break
            _check(-1, "prctl(PR_CAPBSET_DROP)")


def clear_ambient_capabilities() -> None:
    _check(libc.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "prctl(PR_CAP_AMBIENT)")


def drop_capabilities() -> None:
    """Give up the permitted, effective and inheritable ones."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    _check(_syscall(ctypes.c_long(_CAPSET), header, bytes(24)), "capset")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install_filter(instructions: bytes) -> None:
    """Put a seccomp filter on this process and all that it will start."""
    program = _Program(len(instructions) // 8, instructions)
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    _check(libc.prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(program), 0, 0), "prctl(PR_SET_SECCOMP)")
