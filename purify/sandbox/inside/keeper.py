"""The keeper: for each request, a supervisor in namespaces of its own, and in them a child of the warm interpreter.

It stays small, so that forking a supervisor costs little, and runs no code but ours. A request is one message on its
socket with the child's five descriptors; child and host then talk to each other, and the keeper hears no more of it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket

from purify.sandbox.inside.kernel import forbid_new_capabilities, fork_into_new_namespaces
from purify.sandbox.inside.protocol import DESCRIPTORS
from purify.sandbox.inside.supervisor import supervise
from purify.sandbox.inside.warm import keep_warm


def main(requests_fd: int, site_packages: list[str]) -> None:
    """Serve requests until the host closes its end of the socket."""
    forbid_new_capabilities()
    warm, warm_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            os.close(requests_fd)
            warm.close()
            keep_warm(warm_end, site_packages)
        finally:
            os._exit(1)
    warm_end.close()
    resident_mb = warm.recv(16)
    if not resident_mb:
        return  # it could not start, and has said why
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors report to the host; the kernel reaps them
    gc.freeze()
    requests = socket.socket(fileno=requests_fd)
    requests.send(b"ready")
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 16, DESCRIPTORS)
        if not request:
            return
        if fork_into_new_namespaces() == 0:
            try:
                os.close(requests_fd)
                supervise(warm, request, descriptors, base_mb=float(resident_mb))
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
