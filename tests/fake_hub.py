"""As much of the Hub as a data set needs that is one commit of files; it notes what is fetched, and how much of it.

It fails when it is told to.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.loopback import Handler, Loopback

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "some/set"
PART = 65_536


@dataclass
class Fault:
    """What becomes of the next `times` requests for files with `name` in theirs, after `skip` others.

    `status` 0: half of the body comes, then the connection ends.
    """

    name: str
    status: int = 503
    times: int = 1
    skip: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    def strikes(self, name: str) -> bool:
        if self.name not in name or self.times <= 0:
            return False
        self.skip -= 1
        self.times -= self.skip < 0
        return self.skip < 0


class FakeHub(Loopback):
    """Serves the files of a folder as the data set `some/set`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_Handler)
        self.files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        self.fetched: list[str] = []
        self.given = Counter[str]()  # bytes of each file, ranges included
        self.asked = 0  # requests of any kind
        self.faults: list[Fault] = []


class _Handler(Handler):
    server: FakeHub

    def do_GET(self) -> None:
        self.server.asked += 1
        path = unquote(urlsplit(self.path).path)
        if path.startswith(f"/datasets/{NAME}/resolve/"):
            return self._file(path.split("/", 6)[6])
        if path.startswith(f"/api/datasets/{NAME}/tree/"):
            below = path.removeprefix(f"/api/datasets/{NAME}/tree/").partition("/")[2]
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() in ("true", "1")
            return self._json(self._tree(below, recursive))
        if path.startswith(f"/api/datasets/{NAME}"):
            files = [{"rfilename": name} for name in self.server.files]
            return self._json({"id": NAME, "sha": COMMIT, "private": False, "tags": [], "siblings": files})
        return self._refuse("RepoNotFound")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
        found = [self._entry(name) for name in asked if self._entry(name)]
        self._json(found)

    def _tree(self, below: str, recursive: bool) -> list[Any]:
        prefix = f"{below}/" if below else ""
        names = set[str]()
        for name in self.server.files:
            if name.startswith(prefix):
                parts = name.removeprefix(prefix).split("/")
                depth = len(parts) if recursive else 1
                names |= {prefix + "/".join(parts[: n + 1]) for n in range(depth)}
        return [self._entry(name) for name in sorted(names)]

    def _entry(self, name: str) -> dict[str, Any] | None:
        if name in self.server.files:
            data = self.server.files[name]
            return {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if any(each.startswith(f"{name}/") for each in self.server.files):
            return {"type": "directory", "path": name, "size": 0, "oid": COMMIT}
        return None

    def _file(self, name: str) -> None:
        data = self.server.files.get(name)
        if data is None:
            return self._refuse("EntryNotFound")
        headers, status = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}, 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data))
            headers["Content-Range"], status = f"bytes {start}-{stop - 1}/{len(data)}", 206
            data = data[start:stop]
        if fault := next((fault for fault in self.server.faults if fault.strikes(name)), None):
            return self._fail(fault, data)
        if self.command == "GET":
            self.server.fetched.append(name)
        return self._send(status, data, headers, name)

    def _fail(self, fault: Fault, data: bytes) -> None:
        self.close_connection = True
        if fault.status:
            self._send(fault.status, b"", fault.headers)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

    def _json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _refuse(self, code: str) -> None:
        self._send(404, b"", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, data: bytes, headers: dict[str, str], file: str = "") -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(data), PART):  # whoever has enough hangs up
                if file:
                    self.server.given[file] += len(data[start : start + PART])
                self.wfile.write(data[start : start + PART])

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()


@contextmanager
def in_this_process(folder: Path, home: Path) -> Iterator[FakeHub]:
    """A Hub with the files of `folder`, which this process takes for the real one. `home`: its cache."""
    with FakeHub(folder).running() as hub, taken_for_the_hub(hub.url, home):
        yield hub


@contextmanager
def taken_for_the_hub(url: str, home: Path, offline: bool = False) -> Iterator[None]:
    """As in a new process with these in its environment, which the Hub's libraries read when they are imported."""
    import datasets
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setattr(datasets.config, "HF_ENDPOINT", url)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
        _forget_hubs()
        yield
        _forget_hubs()


def _forget_hubs() -> None:
    from huggingface_hub import HfFileSystem

    from tasks.core.data import opening, reader

    opening._load_from_hub.cache_clear()
    reader._open_reader.cache_clear()
    HfFileSystem.clear_instance_cache()
