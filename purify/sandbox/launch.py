"""Start `bwrap`, map its users, and end it again with everything under it."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from purify.errors import PurifyError
from purify.sandbox.command import bwrap_command
from purify.sandbox.inside import seccomp
from purify.sandbox.inside.protocol import KEEPER_UID, PROGRAM_UID

INSTALL = "apt-get install bubblewrap (or dnf, pacman, apk)"
NOBODY = 65534
INFO_S = 10.0


@dataclass(frozen=True, slots=True)
class Launched:
    """A running bwrap, and the first process of its PID namespace, whose end is the end of all in it."""

    process: subprocess.Popen[bytes]
    first_pid: int | None
    first_pidfd: int | None

    def end(self, patience_s: float) -> None:
        """Wait for the end that the keeper makes when its socket closes; after `patience_s`, make one."""
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()  # --die-with-parent takes the rest along
            self.process.wait()
        if self.first_pidfd is not None:
            select.select([self.first_pidfd], [], [], patience_s)
            os.close(self.first_pidfd)


def launch(requests: int, log: int, *, map_users: bool) -> Launched:
    """Start bwrap with the keeper inside. `map_users`: root gives programs the host's `nobody` for a user.

    Raises `PurifyError` if there is no bwrap, `PermissionError` if users cannot be mapped.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise PurifyError(f"bwrap is not installed; {INSTALL}, or run without isolation: --unsafe-sandbox")
    machine = os.uname().machine
    if machine not in seccomp.ARCHITECTURES:
        raise PurifyError(f"no seccomp filter for {machine}; use a SandboxFusion server, or --unsafe-sandbox")
    info, info_end = os.pipe()
    block_end, block = os.pipe()
    rules = os.memfd_create("seccomp")
    try:
        os.write(rules, seccomp.assemble(machine, programs=False))
        os.lseek(rules, 0, os.SEEK_SET)
        command = bwrap_command(bwrap, requests, rules, info_end, block_end if map_users else None)
        passed = [requests, rules, info_end, block_end]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=passed)
        os.close(info_end)
        info_end = -1
        try:
            first = _first_pid(info)
            if map_users and first is not None:
                for kind in ("uid", "gid"):
                    Path(f"/proc/{first}/{kind}_map").write_text(f"{KEEPER_UID} 0 1\n{PROGRAM_UID} {NOBODY} 1\n")
                os.write(block, b"1")
            return Launched(process, first, None if first is None else os.pidfd_open(first))
        except BaseException:
            process.kill()
            process.wait()
            raise
    finally:
        for fd in (info, info_end, block_end, block, rules):
            if fd >= 0:
                os.close(fd)


def _first_pid(info: int) -> int | None:
    """From what `--info-fd` gives; None if bwrap ended before."""
    said = b""
    while select.select([info], [], [], INFO_S)[0]:
        more = os.read(info, 4096)
        if not more:
            break
        said += more
    try:
        pid: int = json.loads(said)["child-pid"]
    except ValueError:
        return None
    return pid
