"""Prefect's result storage as the Storage of core/checkpoint: a local folder, or S3 and its like by fsspec.

Records are read and written by what core/checkpoint/storage.py gives for both.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import Task
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.results import get_default_result_storage, get_result_store
from prefect.settings import get_current_settings

from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.storage import LocalStorage, as_storage_error, bounded, decoded
from tasks.core.errors import InputError
from tasks.prefect_internals import base_path, full_path, read_file, write_file

REMOTE_GATHER_SECONDS, REMOTE_SETTLE_SECONDS = 1.5, 1.5  # a request a record


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


class RemoteStorage:
    """Records on S3 and whatever else fsspec knows."""

    gather_seconds, settle_seconds = REMOTE_GATHER_SECONDS, REMOTE_SETTLE_SECONDS

    def __init__(self, block: RemoteFileSystem) -> None:
        self._block = block

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        with as_storage_error("read", key):
            try:
                content = read_file(self._block, key)
            except FileNotFoundError:
                return None
        return decoded(key, content)

    def write(self, key: str, value: Any) -> None:
        with as_storage_error("write", key):
            content = json.dumps(value).encode()
            bounded(lambda: write_file(self._block, key, content))

    def keys(self, prefix: str) -> list[str]:
        """See Storage.keys."""
        with as_storage_error("list", prefix):
            files = self._block.filesystem
            files.invalidate_cache()
            base = base_path(self._block)
            try:
                found = files.find(self._path(prefix))
            except FileNotFoundError:
                return []
            return sorted(str(path).removeprefix(base) for path in found)

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), 1000):  # S3 takes as many at once
            paths = [self._path(key) for key in keys[start : start + 1000]]
            with as_storage_error("delete", paths[0]):
                try:
                    self._block.filesystem.rm(paths)
                except FileNotFoundError:  # of one of them; some of the others may still be there
                    for path in paths:
                        with suppress(FileNotFoundError):
                            self._block.filesystem.rm(path)

    def size(self, prefix: str) -> int:
        """Bytes of all records below `prefix`."""
        with as_storage_error("list", prefix):
            return int(self._block.filesystem.du(self._path(prefix)))

    def _path(self, key: str) -> str:
        return full_path(self._block, key)
