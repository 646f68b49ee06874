"""As much of the Hugging Face Hub as one data set needs: a branch that moves on, and a list of what was asked."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME = "owner/set"


class Hub:
    """`commits`: the content of `test.jsonl`, first to last. Each look at the branch finds the next one, if any."""

    def __init__(self, commits: list[str]) -> None:
        self._commits = {hashlib.sha1(content.encode()).hexdigest(): content.encode() for content in commits}
        self._branch = list(self._commits)
        self.asked: list[str] = []
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["Hub"]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self, self.path.partition("?")[0])

            do_HEAD = do_POST = do_GET

            def log_message(self, *_: Any) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield self
            server.shutdown()

    def answer(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if NAME in path:  # and not what the library asks about itself
            self.asked.append(path)
        commit = next((c for c in self._commits if c in path), "")
        if path == f"/api/datasets/{NAME}":
            found = self._branch.pop(0) if len(self._branch) > 1 else self._branch[0]
            _send(request, {"id": NAME, "sha": found, "private": False, "tags": [], "siblings": []})
        elif "/revision/" in path and commit:
            _send(request, {"id": NAME, "sha": commit, "private": False, "tags": [], "siblings": []})
        elif "/tree/" in path or "/paths-info/" in path:
            _send(request, [self._file(commit)])
        elif path.endswith(f"/resolve/{commit}/test.jsonl"):
            file = self._file(commit)
            _send(request, self._commits[commit], {"ETag": f'"{file["oid"]}"', "X-Repo-Commit": commit})
        else:
            _send(request, {}, {"X-Error-Code": "EntryNotFound"}, 404)

    def _file(self, commit: str) -> dict[str, Any]:
        content = self._commits[commit]
        return {"type": "file", "path": "test.jsonl", "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _send(
    request: BaseHTTPRequestHandler, content: Any, headers: dict[str, str] | None = None, status: int = 200
) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
