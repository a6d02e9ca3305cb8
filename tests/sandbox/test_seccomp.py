"""The filter's decisions, by a small interpreter of its instructions, for both machines."""

from __future__ import annotations

import errno
import struct

import pytest

from purify.sandbox.inside.seccomp import ALLOW, ARCHITECTURES, ERRNO, KILL, X32, assemble


def decide(program: bytes, architecture: int, number: int, first: int = 0, second: int = 0) -> int:
    """What the kernel would answer to a call with these two arguments."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, first, second, 0, 0, 0, 0)
    code = [struct.unpack("<HBBI", program[at : at + 8]) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif operation == 0x06:
            assert isinstance(value, int)
            return value
        else:
            taken = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            at += if_true if taken else if_false


def refused(error: int) -> int:
    return ERRNO | error


# name: (x86-64, arm64, first argument, second argument, answer to programs, answer to the keeper)
CALLS: dict[str, tuple[int, int, int, int, int, int]] = {
    "read": (0, 63, 0, 0, ALLOW, ALLOW),
    "openat": (257, 56, 0, 0, ALLOW, ALLOW),
    "execve": (59, 221, 0, 0, ALLOW, ALLOW),
    "socketpair": (53, 199, 1, 0, ALLOW, ALLOW),
    "ordinary clone": (56, 220, 0x003D0F00, 0, ALLOW, ALLOW),
    "fork": (56, 220, 17, 0, ALLOW, ALLOW),
    "clone with a user namespace": (56, 220, 0x10000000 | 17, 0, refused(errno.EPERM), ALLOW),
    "clone with a mount namespace": (56, 220, 0x20000 | 17, 0, refused(errno.EPERM), ALLOW),
    "clone3": (435, 435, 0, 0, refused(errno.ENOSYS), refused(errno.ENOSYS)),
    "unshare": (272, 97, 0, 0, refused(errno.EPERM), ALLOW),
    "mount": (165, 40, 0, 0, refused(errno.EPERM), ALLOW),
    "ptrace": (101, 117, 0, 0, refused(errno.EPERM), refused(errno.EPERM)),
    "bpf": (321, 280, 0, 0, refused(errno.EPERM), refused(errno.EPERM)),
    "keyctl": (250, 219, 0, 0, refused(errno.EPERM), refused(errno.EPERM)),
    "userfaultfd": (323, 282, 0, 0, refused(errno.EPERM), refused(errno.EPERM)),
    "socket": (41, 198, 1, 1, refused(errno.ENETUNREACH), ALLOW),
    "memfd_create": (319, 279, 0, 0, refused(errno.EPERM), ALLOW),
    "shmget": (29, 194, 0, 0, refused(errno.EPERM), ALLOW),
    "ordinary ioctl": (16, 29, 0, 0x5401, ALLOW, ALLOW),
    "TIOCSTI": (16, 29, 0, 0x5412, refused(errno.EPERM), refused(errno.EPERM)),
    "TIOCLINUX": (16, 29, 0, 0x541C, refused(errno.EPERM), refused(errno.EPERM)),
    "io_uring_setup": (425, 425, 0, 0, refused(errno.ENOSYS), refused(errno.ENOSYS)),
    "close_range": (436, 436, 0, 0, ALLOW, ALLOW),
    "pidfd_open": (434, 434, 0, 0, ALLOW, ALLOW),
    "pidfd_getfd": (438, 438, 0, 0, refused(errno.ENOSYS), refused(errno.ENOSYS)),
    "a call of the future": (700, 700, 0, 0, refused(errno.ENOSYS), refused(errno.ENOSYS)),
}


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("name", CALLS)
def test_calls(name: str, machine: str) -> None:
    column, architecture = ARCHITECTURES[machine]
    call = CALLS[name]
    for programs, answer in ((True, call[4]), (False, call[5])):
        assert decide(assemble(machine, programs=programs), architecture, call[column], call[2], call[3]) == answer


def test_other_calling_conventions_are_killed() -> None:
    program = assemble("x86_64", programs=True)
    i386, x86_64 = 0x40000003, ARCHITECTURES["x86_64"][1]
    assert decide(program, i386, 0) == KILL
    assert decide(program, x86_64, X32 | 1) == KILL
    assert decide(assemble("aarch64", programs=True), x86_64, 0) == KILL


def test_every_jump_lands_inside() -> None:
    for machine in ARCHITECTURES:
        program = assemble(machine, programs=True)
        assert len(program) // 8 < 4096  # the kernel's limit
        architecture = ARCHITECTURES[machine][1]
        for number in range(500):
            assert decide(program, architecture, number) in {
                ALLOW,
                refused(errno.EPERM),
                refused(errno.ENOSYS),
                refused(errno.ENETUNREACH),
            }
