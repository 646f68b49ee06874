"""As much of the Hub as a push needs: data sets are made, files go up by LFS and appear with their commit."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.loopback import Handler, Loopback

TOKEN = "hf_may_write"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Pushed:
    """A data set: what its commits have left of it."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0


class PushHub(Loopback):
    """`refuse`: the part of a path that is answered by 403 as long as it is set."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.sets: dict[str, Pushed] = {}
        self.stored: dict[str, bytes] = {}  # by sha256
        self.refuse = ""


class _Handler(Handler):
    server: PushHub

    def do_GET(self) -> None:
        there = self.server.sets.get(name := urlsplit(self.path).path.removeprefix("/api/datasets/"))
        if there is None:
            return self._send(404, {}, {"X-Error-Code": "RepoNotFound"})
        card = there.files.get("README.md", b"").decode().split("---\n")
        about = {"cardData": yaml.safe_load(card[1])} if len(card) > 2 else {}
        files = [{"rfilename": file} for file in there.files]
        return self._send(200, {"id": name, "private": there.private, "tags": [], "siblings": files} | about)

    def do_PUT(self) -> None:
        self.server.stored[self.path.removeprefix("/store/")] = self._body()
        self._send(200, {})

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" or (
            self.server.refuse and self.server.refuse in path
        ):
            return self._send(403, {"error": "this token may not write"})
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith("/info/lfs/objects/batch"):
            return self._send(200, {"objects": [self._upload(each) for each in json.loads(body)["objects"]]})
        name, _, what = path.removeprefix("/api/datasets/").rpartition("/")[0].rpartition("/")
        if what == "preupload":
            return self._send(200, {"files": [_mode(each["path"]) for each in json.loads(body)["files"]]})
        return self._commit(name, [json.loads(line) for line in body.splitlines()])

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.sets:
            return self._send(409, {"error": "exists", "url": f"{self.server.url}/datasets/{name}"})
        self.server.sets[name] = Pushed(private=asked.get("visibility") == "private")
        return self._send(200, {"url": f"{self.server.url}/datasets/{name}"})

    def _upload(self, asked: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.server.url}/store/{asked['oid']}"
        return {"oid": asked["oid"], "size": asked["size"], "actions": {"upload": {"href": href}}}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        there = self.server.sets[name]
        for value in (line["value"] for line in lines if line["key"] == "deletedFile"):
            del there.files[value["path"]]
        for value in (line["value"] for line in lines if line["key"] == "file"):
            there.files[value["path"]] = base64.b64decode(value["content"])
        for value in (line["value"] for line in lines if line["key"] == "lfsFile"):
            there.files[value["path"]] = self.server.stored[value["oid"]]
        there.commits += 1
        address = f"{self.server.url}/datasets/{name}/commit/{COMMIT}"
        self._send(200, {"commitUrl": address, "commitOid": COMMIT})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _mode(path: str) -> dict[str, Any]:
    return {"path": path, "uploadMode": "lfs" if path.endswith(".parquet") else "regular", "shouldIgnore": False}
