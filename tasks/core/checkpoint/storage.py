"""Records as files below a folder, and what any storage needs: how a record is read, and what its errors become.

Records of ours are bare JSON; those that Prefect writes for a chunk are JSON in Prefect's envelope. Both are read as
JSON and as nothing else: a record can name no serializer and no class.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from tasks.core.checkpoint.layout import Damaged, StorageError

GATHER_SECONDS, SETTLE_SECONDS = 0.5, 0.1
MOST_SECONDS = 20.0  # for a write
_ENVELOPE = {"metadata", "result"}


class LocalStorage:
    """Records as files below a folder, for their owner only. A file is whole and on disk before it has its name."""

    gather_seconds, settle_seconds = GATHER_SECONDS, SETTLE_SECONDS

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        with as_storage_error("read", self.folder / key):
            try:
                content = (self.folder / key).read_bytes()
            except FileNotFoundError:
                return None
        return decoded(key, content)

    def write(self, key: str, value: Any) -> None:
        with as_storage_error("write", self.folder / key):
            content = json.dumps(value).encode()
            bounded(lambda: self._write(key, content))

    def _write(self, key: str, content: bytes) -> None:
        path = self.folder / key
        _make_private(path.parent)
        draft = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        _sync_folder(path.parent)

    def keys(self, prefix: str) -> list[str]:
        """See Storage.keys; drafts are no records."""
        found = []
        with as_storage_error("list", self.folder / prefix):
            for folder, _, names in os.walk(self.folder / prefix, onerror=_raise_unless_missing):
                below = Path(folder).relative_to(self.folder).as_posix()
                found += [f"{below}/{name}" for name in names if not name.startswith(".")]
        return sorted(found)

    def delete(self, keys: Sequence[str]) -> None:
        folders = set()
        with as_storage_error("delete from", self.folder):
            for key in keys:
                path = self.folder / key
                path.unlink(missing_ok=True)
                folders.add(path.parent)
        for folder in folders:
            with suppress(OSError):  # not empty, or gone with another's
                if not any(file for file in folder.iterdir() if not file.name.startswith(".")):
                    for draft in folder.iterdir():  # of writers that were killed
                        draft.unlink()
                while folder != self.folder:
                    folder.rmdir()
                    folder = folder.parent

    def size(self, prefix: str) -> int:
        """Bytes of all records below `prefix`."""
        total = 0
        for key in self.keys(prefix):
            with suppress(FileNotFoundError):  # gone meanwhile
                total += (self.folder / key).stat().st_size
        return total


def decoded(key: str, content: bytes) -> Any:
    """A record's value, JSON and nothing else.

    Raises:
        Damaged: it is something else.
    """
    try:
        value = json.loads(content)
        if isinstance(value, dict) and value.keys() >= _ENVELOPE:
            if value["metadata"]["serializer"]["type"] != "json":
                raise Damaged(f"{key}: serialized as {value['metadata']['serializer']['type']!r}, not as JSON")
            value = json.loads(value["result"])
        return value
    except Damaged:
        raise
    except Exception as error:  # whatever a record can do to its reader
        raise Damaged(f"{key}: {error}") from None


@contextmanager
def as_storage_error(what: str, where: object) -> Iterator[None]:
    """Storage libraries have exceptions of their own."""
    try:
        yield
    except Exception as error:
        reason = (getattr(error, "strerror", None) or str(error)) or type(error).__name__
        raise StorageError(f"cannot {what} {where}: {reason}") from error


def bounded(work: Callable[[], object]) -> None:
    """Raises TimeoutError where a storage neither does its work nor fails, as a share that has lost its server."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            work()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="storage", daemon=True)
    thread.start()
    thread.join(MOST_SECONDS)
    if not outcome:
        raise TimeoutError(f"no answer within {MOST_SECONDS:g} s")
    if outcome[0]:
        raise outcome[0]


def _make_private(folder: Path) -> None:
    """Make `folder`, and those above it that are missing, for their owner only."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    """So that the name outlives a power cut as well; not every system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
