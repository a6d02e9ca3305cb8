"""A stand-in for the hub's API, as much of it as an upload over LFS needs.

Paths and fields: huggingface_hub, `src/huggingface_hub/hf_api.py` (create_repo, dataset_info, list_repo_tree),
`_commit_api.py` (preupload, commit) and `lfs.py` (batch, PUT).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REPO = "/api/datasets/user/name"
TOKEN = "hf_the_token_of_the_test"


@dataclass
class Hub:
    """One repository at most, and what was sent. `lose`, `full` and `refuse` say what fails."""

    token: str = TOKEN
    private: bool | None = None
    """Null until the repository is created."""
    files: dict[str, bytes] = field(default_factory=dict)
    store: dict[str, bytes] = field(default_factory=dict)
    """LFS objects by sha256: they are there before a commit names them."""
    sent: list[str] = field(default_factory=list)
    """sha256 of every LFS object that was PUT, in order, and `commit` for each commit."""
    cards: list[str] = field(default_factory=list)
    """Cards whose front matter was sent to be checked."""
    deleted: list[str] = field(default_factory=list)
    lose: set[str] = field(default_factory=set)
    """The next PUT of an object with one of these digests is cut off."""
    full: set[str] = field(default_factory=set)
    """Objects with these digests are refused, as by a storage that is full."""
    refuse: int | None = None
    """Status of the answer to every request."""
    url: str = ""

    def listing(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": path, "size": len(data), "oid": _oid(path, data)}
            for path, data in self.files.items()
        ]

    def preupload(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"files": [self._mode(asked["path"]) for asked in request["files"]]}

    def _mode(self, path: str) -> dict[str, Any]:
        known = {"oid": _oid(path, self.files[path])} if path in self.files else {}
        return {"path": path, "uploadMode": "lfs" if _large(path) else "regular", "shouldIgnore": False, **known}

    def batch(self, request: dict[str, Any]) -> dict[str, Any]:
        objects = []
        for asked in request["objects"]:
            actions = (
                {}
                if asked["oid"] in self.store
                else {"actions": {"upload": {"href": f"{self.url}/lfs/{asked['oid']}"}}}
            )
            objects.append({"oid": asked["oid"], "size": asked["size"], **actions})
        return {"transfer": "basic", "objects": objects}

    def commit(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        self.sent.append("commit")
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.store[value["oid"]]
            elif line["key"] == "deletedFile":
                self.deleted.append(value["path"])
                del self.files[value["path"]]
        return {"commitUrl": f"{self.url}/datasets/user/name/commit/1", "commitOid": "1"}


def _large(path: str) -> bool:
    return path.endswith(".parquet")


def _oid(path: str, data: bytes) -> str:
    """As git names a blob, or LFS an object."""
    if _large(path):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub_server(**behaviour: Any) -> Iterator[Hub]:
    hub = Hub(**behaviour)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: object) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def _body(self) -> bytes:
            if (length := self.headers.get("Content-Length")) is not None:
                return self.rfile.read(int(length))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _allowed(self) -> bool:
            refused = hub.refuse or (None if self.headers.get("Authorization") == f"Bearer {hub.token}" else 401)
            if refused:
                self._answer(refused, {"error": "refused"})
            return not refused

        def do_GET(self) -> None:
            if not self._allowed():
                return
            if "/tree/" in self.path:
                self._answer(200, hub.listing())
            elif self.path.startswith("/datasets/user/name/resolve/main/"):
                self._file(self.path.removeprefix("/datasets/user/name/resolve/main/"))
            elif self.path.split("?")[0].removesuffix("/revision/main") == REPO and hub.private is not None:
                self._answer(200, {"id": "user/name", "private": hub.private, "sha": "1", "siblings": []})
            else:
                self._answer(404, {"error": "not found"})

        def do_HEAD(self) -> None:
            self.do_GET()

        def _file(self, path: str) -> None:
            data = hub.files[path]
            self.send_response(200)
            self.send_header("ETag", f'"{_oid(path, data)}"')
            self.send_header("X-Repo-Commit", "1" * 40)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def do_POST(self) -> None:
            body = self._body()
            if not self._allowed():
                return
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                assert (asked["organization"], asked["name"], asked["type"]) == ("user", "name", "dataset")
                if hub.private is not None:
                    self._answer(409, {"error": "exists", "url": f"{hub.url}/datasets/user/name"})
                else:
                    hub.private = asked["visibility"] == "private"
                    self._answer(200, {"url": f"{hub.url}/datasets/user/name"})
            elif self.path == "/api/validate-yaml":
                hub.cards.append(json.loads(body)["content"])
                self._answer(200, {"errors": [], "warnings": []})
            elif self.path.startswith("/api/datasets/user/name/preupload/main"):
                self._answer(200, hub.preupload(json.loads(body)))
            elif self.path == "/datasets/user/name.git/info/lfs/objects/batch":
                self._answer(200, hub.batch(json.loads(body)))
            elif self.path.startswith("/api/datasets/user/name/commit/main"):
                self._answer(200, hub.commit([json.loads(line) for line in body.splitlines()]))
            else:
                self._answer(404, {"error": f"no {self.path}"})

        def do_PUT(self) -> None:
            body, oid = self._body(), self.path.rpartition("/")[2]
            if oid in hub.lose:
                hub.lose.discard(oid)
                self.close_connection = True
                self.connection.close()
                return
            if oid in hub.full:
                self._answer(507, {"error": "full"})
                return
            assert hashlib.sha256(body).hexdigest() == oid
            hub.store[oid] = body
            hub.sent.append(oid)
            self._answer(200, {})

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
