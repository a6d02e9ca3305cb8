"""A stand-in for a SandboxFusion server, for tests: the same request and response, programs run without isolation.

A timeout is `Failed` with a null return code, and errors of the server come in the body with HTTP 200, as there.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class StandIn:
    """Where the server listens, what it was asked, and how it misbehaves next."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    drop: int = 0
    """So many connections are closed without an answer."""
    answer: tuple[int, bytes] | None = None
    """HTTP status and body instead of a true answer."""


def _run(request: dict[str, Any]) -> dict[str, Any]:
    if request["language"] != "python":
        return {"status": "SandboxError", "message": "unsupported language", "run_result": None, "files": {}}
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", request["code"]],
            input=request["stdin"],
            capture_output=True,
            text=True,
            timeout=request["run_timeout"],
        )
    except subprocess.TimeoutExpired as late:
        stdout = late.stdout or b""
        result: dict[str, Any] = {
            "status": "TimeLimitExceeded",
            "return_code": None,
            "stdout": stdout.decode(),
            "stderr": "",
        }
        status = "Failed"
    else:
        result = {
            "status": "Finished",
            "return_code": done.returncode,
            "stdout": done.stdout,
            "stderr": done.stderr,
        }
        status = "Success" if done.returncode == 0 else "Failed"
    result["execution_time"] = time.monotonic() - started
    return {"status": status, "message": "", "compile_result": None, "run_result": result, "files": {}}


@contextlib.contextmanager
def serving() -> Iterator[StandIn]:
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if stand_in.drop:
                stand_in.drop -= 1
                self.connection.close()
                return
            assert self.path == "/run_code"
            stand_in.requests.append(request)
            status, body = stand_in.answer or (200, json.dumps(_run(request)).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
