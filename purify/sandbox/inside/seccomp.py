"""A seccomp filter (classic BPF) for x86-64 and arm64: what is listed is refused, what the kernel added later too.

seccomp.assemble("x86_64", programs=True)   # bytes for `bwrap --seccomp FD` or prctl(PR_SET_SECCOMP)
"""

from __future__ import annotations

import errno
import struct

from purify.sandbox.inside.syscalls import CLONE, CLONE3, FOR_NOBODY, FOR_PROGRAMS, IOCTL, MODERN, SOCKET

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine as `os.uname` names it: column of the tables, AUDIT_ARCH constant."""

KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
X32 = 0x40000000
NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put characters into a terminal as if they were typed."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data, low words


def assemble(machine: str, *, programs: bool) -> bytes:
    """The filter of a program, or (`programs` false) the wider one of the keeper, which makes namespaces."""
    column, architecture = ARCHITECTURES[machine]
    refused = FOR_NOBODY | (FOR_PROGRAMS if programs else {})
    code = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, KILL),  # another calling convention would get round the numbers below
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32),
        (_RETURN, 0, 0, KILL),
    ]
    for number in sorted(number for numbers in refused.values() if (number := numbers[column]) is not None):
        code += [(_EQUAL, 0, 1, number), _fail(errno.EPERM)]
    code += _if_argument(IOCTL[column], _ARGUMENT_1, _EQUAL, TERMINAL_INPUT, errno.EPERM)
    if programs:
        # A program has no network; this is the error that says so, and sockets by name would reach other calls.
        code += [(_EQUAL, 0, 1, SOCKET[column]), _fail(errno.ENETUNREACH)]
        code += _if_argument(CLONE[column], _ARGUMENT_0, _ANY_BIT, (NAMESPACES,), errno.EPERM)
    for number in sorted(MODERN.values()):
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, ALLOW)]
    # clone3 hides its flags in memory; where it does not exist, libc falls back to clone.
    code += [(_AT_LEAST, 0, 1, min(MODERN.values())), _fail(errno.ENOSYS), (_RETURN, 0, 0, ALLOW)]
    assert CLONE3 not in MODERN.values()
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def _fail(error: int) -> tuple[int, int, int, int]:
    return (_RETURN, 0, 0, ERRNO | error)


def _if_argument(
    number: int, argument: int, test: int, values: tuple[int, ...], error: int
) -> list[tuple[int, int, int, int]]:
    """Refuse the call `number` where its argument passes the test against one of the values."""
    tests = [one for value in values for one in ((test, 0, 1, value), _fail(error))]
    return [(_EQUAL, 0, len(tests) + 2, number), (_LOAD, 0, 0, argument), *tests, (_LOAD, 0, 0, _NUMBER)]
