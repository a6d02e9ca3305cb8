"""Child processes that must not outlive this one, even if it is killed.

vLLM's engine runs in a process of its own that does not notice when its parent is gone: it would keep the GPU's memory,
and a resumed run would find none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

# Reads until the other end of its input is closed, which the kernel does when this process ends in whatever way. File
# descriptors instead of numbers: a number may belong to somebody else by then.
_WATCH = """
import contextlib, os, signal, sys
children = [os.pidfd_open(int(pid)) for pid in sys.argv[1:]]
sys.stdin.read()
for child in children:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(child, signal.SIGKILL)
"""


class Watcher:
    """Kills processes as soon as this one is gone (Linux; elsewhere it does nothing), or when it is closed."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-c", _WATCH, *map(str, pids)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None
