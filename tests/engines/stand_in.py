"""A stand-in for a vLLM server, for what a real one does too rarely to test: refusals, failures, odd answers.

The real one is in test_vllm.py. This one knows the three tokens 4, 5 and 6 with fixed logits, and answers with the
ids and log-probs that vLLM would give for them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import exp, log
from typing import Any

LOGITS = {4: 3.0, 5: 1.0, 6: 0.0}


@dataclass
class StandIn:
    """How it behaves, and what it was sent."""

    processed: bool = True
    model: str = "tiny"
    max_model_len: int | None = 100
    returns_ids: bool = True
    returns_logprobs: bool = True
    finish_reason: str = "length"
    key: str | None = None
    failures: list[int] = field(default_factory=list)
    """Status codes of the next answers to completions; 0 closes the connection without one."""
    body: bytes | None = None
    """Sent instead of any answer."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def models(self) -> dict[str, Any]:
        return {"data": [{"id": self.model, "max_model_len": self.max_model_len}]}

    def completion(self, request: dict[str, Any]) -> dict[str, Any]:
        scale = (request["temperature"] or 1) if self.processed else 1
        total = sum(exp(logit / scale) for logit in LOGITS.values())
        logprobs = {token: logit / scale - log(total) for token, logit in LOGITS.items()}
        length = request["max_tokens"]
        choice: dict[str, Any] = {"finish_reason": self.finish_reason, "text": ""}
        if self.returns_ids:
            choice |= {"token_ids": [4] * length, "prompt_token_ids": request["prompt"]}
        if self.returns_logprobs:
            top = {f"token {token}": logprob for token, logprob in logprobs.items()}
            choice["logprobs"] = {"token_logprobs": [logprobs[4]] * length, "top_logprobs": [top] * length}
        if request.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = [None, *({str(token): {"logprob": -0.5}} for token in request["prompt"][1:])]
        return {"choices": [choice]}


@contextmanager
def stand_in(**behaviour: Any) -> Iterator[StandIn]:
    state = StandIn(**behaviour)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(state.models() if self.path == "/v1/models" else None)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append(request)
            if state.failures:
                self._fail(state.failures.pop(0))
            else:
                self._answer(state.completion(request) if self.path == "/v1/completions" else None)

        def _fail(self, status: int) -> None:
            if status:
                self._send(status, json.dumps({"error": {"message": f"it is a\n {status}"}}).encode())
            else:
                self.close_connection = True

        def _answer(self, answer: dict[str, Any] | None) -> None:
            if state.key is not None and self.headers.get("Authorization") != f"Bearer {state.key}":
                self._send(401, b"{}")
            elif answer is None:
                self._send(404, b'{"detail": "Not Found"}')
            else:
                self._send(200, state.body or json.dumps(answer).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
