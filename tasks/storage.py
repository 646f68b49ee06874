"""Prefect's result storage as the Storage of core/checkpoint: a local folder, or S3 and its like by fsspec.

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

from prefect import Task
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.results import get_default_result_storage, get_result_store
from prefect.settings import get_current_settings

from tasks.core.checkpoint.layout import Damaged, Storage, StorageError
from tasks.core.errors import InputError

LOCAL_GATHER_SECONDS, LOCAL_SETTLE_SECONDS = 0.5, 0.1
REMOTE_GATHER_SECONDS, REMOTE_SETTLE_SECONDS = 1.5, 1.5  # a request a record
MOST_SECONDS = 20.0  # for a write
_ENVELOPE = {"metadata", "result"}


def default_storage() -> Any:
    """Where Prefect persists results: the block that the settings or the server name, or the folder of this machine.

    Raises:
        InputError: there is no such block on the server.
    """
    settings = get_current_settings()
    name = settings.results.default_storage_block
    if not (name or settings.api.url):  # nobody to ask: Prefect would start a server for it
        return LocalFileSystem(basepath=str(settings.results.local_storage_path))
    try:
        return get_default_result_storage()
    except ValueError as error:
        asked = f"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK={name}" if name else "the server's default result storage"
        way_out = "bootstrap.py --storage makes one (deployments/README.md)"
        raise InputError(f"{asked}: {error}; {way_out}") from None


def storage_of_results(task: Task[..., Any] | None = None) -> Storage:
    """The storage that the results of the running task go to; from inside a flow run, those of `task`."""
    store: Any = get_result_store()
    if task:
        store = store.update_for_task(task)
    return storage_of(store.result_storage or default_storage())


def storage_of(block: Any) -> Storage:
    """Records in the storage that a Prefect block stands for.

    Raises:
        InputError: it is of a kind that cannot say what it holds.
    """
    if isinstance(block, LocalFileSystem):
        return LocalStorage(Path(block.basepath or ".").expanduser().resolve())
    if isinstance(getattr(block, "filesystem", None), RemoteFileSystem):  # an SMB block
        block = block.filesystem
    if isinstance(block, RemoteFileSystem):
        return RemoteStorage(block)
    raise InputError(
        f"the result storage is a {type(block).__name__}, which cannot list what it holds; "
        "use a local-file-system or a remote-file-system block (S3, GCS, Azure …): bootstrap.py --storage makes one"
    )


class LocalStorage:
    """Records as files below a folder, for their owner only. A file is whole and on disk before it has its name."""

    gather_seconds, settle_seconds = LOCAL_GATHER_SECONDS, LOCAL_SETTLE_SECONDS

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        with _as_storage_error("read", self.folder / key):
            try:
                content = (self.folder / key).read_bytes()
            except FileNotFoundError:
                return None
        return _decoded(key, content)

    def write(self, key: str, value: Any) -> None:
        with _as_storage_error("write", self.folder / key):
            content = json.dumps(value).encode()
            _bounded(lambda: self._write(key, content))

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
        with _as_storage_error("list", self.folder / prefix):
            for folder, _, names in os.walk(self.folder / prefix, onerror=_raise_unless_missing):
                below = Path(folder).relative_to(self.folder).as_posix()
                found += [f"{below}/{name}" for name in names if not name.startswith(".")]
        return sorted(found)

    def delete(self, keys: Sequence[str]) -> None:
        folders = set()
        with _as_storage_error("delete from", self.folder):
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


class RemoteStorage:
    """Records on S3 and whatever else fsspec knows."""

    gather_seconds, settle_seconds = REMOTE_GATHER_SECONDS, REMOTE_SETTLE_SECONDS

    def __init__(self, block: RemoteFileSystem) -> None:
        self._block = block

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        with _as_storage_error("read", key):
            try:
                content: Any = self._block.read_path(key, _sync=True)  # type: ignore[call-arg]  # Prefect's decorator
            except FileNotFoundError:
                return None
        return _decoded(key, content)

    def write(self, key: str, value: Any) -> None:
        with _as_storage_error("write", key):
            content = json.dumps(value).encode()
            _bounded(lambda: self._block.write_path(key, content, _sync=True))  # type: ignore[call-arg]

    def keys(self, prefix: str) -> list[str]:
        """See Storage.keys."""
        with _as_storage_error("list", prefix):
            files = self._block.filesystem
            files.invalidate_cache()
            base = files._strip_protocol(self._block.basepath).rstrip("/") + "/"
            try:
                found = files.find(self._path(prefix))
            except FileNotFoundError:
                return []
            return sorted(str(path).removeprefix(base) for path in found)

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), 1000):  # S3 takes as many at once
            paths = [self._path(key) for key in keys[start : start + 1000]]
            with _as_storage_error("delete", paths[0]):
                try:
                    self._block.filesystem.rm(paths)
                except FileNotFoundError:  # of one of them; some of the others may still be there
                    for path in paths:
                        with suppress(FileNotFoundError):
                            self._block.filesystem.rm(path)

    def size(self, prefix: str) -> int:
        """Bytes of all records below `prefix`."""
        with _as_storage_error("list", prefix):
            return int(self._block.filesystem.du(self._path(prefix)))

    def _path(self, key: str) -> str:
        return self._block._resolve_path(key)


def _decoded(key: str, content: bytes) -> Any:
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
def _as_storage_error(what: str, where: object) -> Iterator[None]:
    """Storage libraries have exceptions of their own."""
    try:
        yield
    except Exception as error:
        reason = (getattr(error, "strerror", None) or str(error)) or type(error).__name__
        raise StorageError(f"cannot {what} {where}: {reason}") from error


def _bounded(work: Callable[[], object]) -> None:
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
