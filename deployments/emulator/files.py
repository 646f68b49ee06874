"""The files of the File API: uploaded, processed, known for a time, gone. Must not know HTTP.

Real ones live for 48 hours and may be 2 GB each: https://ai.google.dev/gemini-api/docs/files.
"""

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.emulator.behaviours import HttpError, Quota, RateLimited

_LIFETIME_SECONDS = 48 * 3600.0
_STORAGE_FULL = RateLimited(9223372036854775807.0, Quota.STORAGE)  # the delay that the real API sends with it
MOST_NAME_CHARS = 40


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was uploaded, at a time of the emulator's clock."""

    name: str
    mime_type: str
    display_name: str
    data: bytes
    uploaded_at: float


@dataclass(slots=True)
class _Upload:
    """One that is under way."""

    name: str
    mime_type: str
    display_name: str
    parts: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Files:
    """`processing_seconds`: from the upload until a file may be used. `refusals`: what the next uploads meet.

    `storage_bytes`: room for all of them together, and for what is stored `beside` them.
    """

    clock: Callable[[], float]
    lifetime_seconds: float = _LIFETIME_SECONDS
    processing_seconds: float = 0.0
    refusals: list[HttpError] = field(default_factory=list)
    fails: bool = False  # whether processing does
    uploads: int = 0
    storage_bytes: int | None = None
    beside: Callable[[], int] = lambda: 0
    _files: dict[str, StoredFile] = field(default_factory=dict)
    _under_way: dict[str, _Upload] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, file: dict[str, Any], mime_type: str, size: int = 0) -> str | HttpError | RateLimited:
        """Begin an upload of `size` bytes; returns its id."""
        if self.refusals:
            return self.refusals.pop(0)
        stored = sum(len(one.data) for one in self.all()) + self.beside()
        if self.storage_bytes is not None and size + stored > self.storage_bytes:
            return _STORAGE_FULL
        number = f"{next(self._ids):06d}"
        name = str(file.get("name") or f"files/emulated-{number}")
        if self.find(name):
            return HttpError(409, f"Requested entity already exists: {name}", "ALREADY_EXISTS")
        self._under_way[number] = _Upload(name, mime_type, str(file.get("displayName") or ""))
        return number

    def go_on(self, number: str, data: bytes, offset: int) -> bool:
        """Take the next bytes of an upload; False where they are not the next ones of any."""
        if self.received(number) != offset:
            return False
        self._under_way[number].parts.append(data)
        return True

    def received(self, number: str) -> int | None:
        """How many bytes of an upload there are; None where it is none, or over."""
        upload = self._under_way.get(number)
        return None if upload is None else sum(map(len, upload.parts))

    def end(self, number: str) -> StoredFile:
        """What was uploaded is a file now."""
        upload = self._under_way.pop(number)
        file = StoredFile(upload.name, upload.mime_type, upload.display_name, b"".join(upload.parts), self.clock())
        self._files[file.name] = file
        self.uploads += 1
        return file

    def find(self, name: str) -> StoredFile | None:
        """The file of that name (`files/abc`), unless its time is over."""
        file = self._files.get(name)
        if file and self.clock() - file.uploaded_at >= self.lifetime_seconds:
            del self._files[name]
            return None
        return file

    def use(self, name: str) -> StoredFile | HttpError:
        """The file, for a request that names it."""
        file = self.find(name)
        if file is None:
            return no_such_file(name)
        if (state := self.state_of(file)) != "ACTIVE":
            return HttpError(400, f"The File {name} is not in an ACTIVE state and usage is not allowed: {state}")
        return file

    def all(self) -> list[StoredFile]:
        return [file for name in list(self._files) if (file := self.find(name))]

    def delete(self, name: str) -> None:
        self._files.pop(name, None)

    def state_of(self, file: StoredFile) -> str:
        if self.clock() - file.uploaded_at < self.processing_seconds:
            return "PROCESSING"
        return "FAILED" if self.fails else "ACTIVE"

    def body_of(self, file: StoredFile, base_url: str) -> dict[str, Any]:
        """The file as the API describes it."""
        age = timedelta(seconds=self.clock() - file.uploaded_at)
        created, state = datetime.now(UTC) - age, self.state_of(file)
        error = {"error": {"code": 3, "message": "The file could not be processed."}} if state == "FAILED" else {}
        return {
            "name": file.name,
            "displayName": file.display_name,
            "mimeType": file.mime_type,
            "sizeBytes": str(len(file.data)),
            "createTime": _time(created),
            "expirationTime": _time(created + timedelta(seconds=self.lifetime_seconds)),
            "sha256Hash": base64.b64encode(hashlib.sha256(file.data).hexdigest().encode()).decode(),
            "uri": f"{base_url}/v1beta/{file.name}",
            "state": state,
        } | error


def no_such_file(name: str) -> HttpError:
    """What the API says of a file that is gone, or somebody else's."""
    short = name.removeprefix("files/")
    return HttpError(403, f"You do not have permission to access the File {short} or it may not exist.")


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
