"""The attack suite. After each attack the host is unharmed, nothing has leaked, and the next call works."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from purify.sandbox import Limits
from purify.sandbox.bubblewrap import Bubblewrap
from purify.sandbox.unsafe import Unsafe
from purify.sandbox.worker import SPARES
from tests.sandbox.attacks import ATTACKS
from tests.sandbox.support import descendants, eventually, needs_bwrap, open_descriptors

SECRET = "canary-5f2b9d"
ORDINARY = """
import math, os, sympy, sys
print(sympy.factorint(60), math.sqrt(16), len("abc"), 3 + 4)
print(sorted(os.listdir("/tmp")), os.getpid(), os.environ.get("POISON"))
"""
ORDINARY_OUTPUT = "{2: 2, 3: 1, 5: 1} 4.0 3 7\n['main.py'] 2 None\n"
LIMITS = Limits(wall_s=10, cpu_s=1, memory_mb=256, output_kb=16, processes=8)
EACH_CHILD = 2
"""Processes of a child that waits for its job: PID 1 and the runner."""


@dataclass
class Host:
    """A sandbox of one worker, and what an attack may not touch."""

    runner: asyncio.Runner
    sandbox: Bubblewrap
    secret: Path
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket

    def fill_in(self, code: str) -> str:
        port = self.tcp.getsockname()[1]
        return (
            code.replace("{secret!r}", repr(str(self.secret)))
            .replace("{secret_text!r}", repr(SECRET))
            .replace("{port}", str(port))
            .replace("{abstract}", f"purify-{port}")
            .replace("{{", "{")
            .replace("}}", "}")
        )

    def unharmed(self) -> bool:
        """Nothing of the attack lives on: there are the keeper, the warm interpreter and the next calls' children."""
        first = self.sandbox.workers[0].first_pid
        return first is not None and len(descendants(first)) == 2 + SPARES * EACH_CHILD


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    secret = tmp_path_factory.mktemp("host") / "secret.txt"
    secret.write_text(SECRET)
    os.environ["CANARY"] = SECRET
    with asyncio.Runner() as runner, socket.create_server(("127.0.0.1", 0)) as tcp:
        port = tcp.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX) as unix:
            udp.bind(("127.0.0.1", port))
            unix.bind(f"\0purify-{port}")
            unix.listen()
            for listener in (tcp, udp, unix):
                listener.setblocking(False)
            sandbox = Bubblewrap(1, LIMITS)
            runner.run(sandbox.start())
            host = Host(runner, sandbox, secret, tcp, udp, unix)
            assert eventually(host.unharmed)
            yield host
            runner.run(sandbox.close())
    del os.environ["CANARY"]


@needs_bwrap
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_contained(name: str, host: Host) -> None:
    attack = ATTACKS[name]
    code = host.fill_in(attack.code)
    limits = LIMITS.model_copy(update={"wall_s": attack.wall_s})
    descriptors, siblings = open_descriptors(), descendants(os.getpid())

    execution = host.runner.run(host.sandbox.run(code, limits=limits))

    assert (execution.status, execution.error_type) == attack.ends, execution
    if attack.prints is not None:
        assert execution.stdout == attack.prints, execution
    assert execution.duration_s < attack.wall_s + 5
    assert len(execution.stdout) + len(execution.stderr) < 2 * (LIMITS.output_kb << 10) + 2000
    assert SECRET not in execution.text
    assert host.secret.read_text() == SECRET
    assert [path.name for path in host.secret.parent.iterdir()] == [host.secret.name]
    for listener in (host.tcp, host.udp, host.unix):
        with pytest.raises(BlockingIOError):
            listener.recv(9) if listener is host.udp else listener.accept()

    after = host.runner.run(host.sandbox.run(ORDINARY))
    assert (after.status, after.stdout, after.stderr) == ("ok", ORDINARY_OUTPUT, "")
    assert eventually(host.unharmed), descendants(os.getpid()) - siblings
    assert eventually(lambda: open_descriptors() == descriptors)


# Only looks and connects: without a sandbox an attack is an attack on the machine that runs the tests.
HARMLESS = {
    "file": "print(open({secret!r}).read())",
    "environment": "import os\nprint(os.environ['CANARY'])",
    "processes": "import os\nprint({secret_text!r} if '1' in os.listdir('/proc') else '')",
    "tcp": "import socket\nsocket.create_connection(('127.0.0.1', {port}), 5)\nprint({secret_text!r})",
    "abstract": "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0{abstract}')\nprint({secret_text!r})",
}


@needs_bwrap
@pytest.mark.parametrize("name", HARMLESS)
def test_what_the_attacks_look_for_is_there_without_a_sandbox(name: str, host: Host) -> None:
    code = host.fill_in(HARMLESS[name])
    outside = host.runner.run(Unsafe(1).run(code))
    for listener in (host.tcp, host.unix):
        with contextlib.suppress(BlockingIOError):
            listener.accept()[0].close()
    assert (outside.status, outside.stdout) == ("ok", f"{SECRET}\n"), outside
    inside = host.runner.run(host.sandbox.run(code))
    assert inside.stdout.strip() == "", inside


def test_there_are_enough_attacks() -> None:
    assert len(ATTACKS) >= 35
