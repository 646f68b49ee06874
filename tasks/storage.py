"""Prefect's result storage as the Storage of checkpoint.py: local folder, S3, any block, without knowing which."""

from pathlib import Path
from typing import Any, Self

from prefect import Task
from prefect.filesystems import LocalFileSystem
from prefect.results import (  # type: ignore[attr-defined]  # ResultRecord is not in __all__
    ResultRecord,
    ResultStore,
    get_default_result_storage,
    get_result_store,
)
from prefect.settings import get_current_settings

from tasks.core.checkpoint import Damaged
from tasks.core.errors import InputError

# Where no record can be: what reading it raises is what "there is no such record" looks like here.
_NOWHERE = "gemini-infer/no-such-record"
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)


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


class ResultStorage:
    """Records through one task's result store: the same place and serializer as its results."""

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._missing: tuple[type, str] | None = None

    @classmethod
    def of(cls, task: Task[..., Any]) -> Self:
        """The store of `task`, from inside a flow run."""
        store = get_result_store().update_for_task(task)
        assert isinstance(store, ResultStore)  # a coroutine where a loop runs, which is not where flows are
        return cls(store)

    @property
    def store(self) -> ResultStore:
        return self._store

    def read(self, key: str) -> Any | None:
        """See Storage.read."""
        try:
            return self._read(key)
        except Exception as error:
            if _signature(error, key) == self._nothing():
                return None
            if isinstance(error, _UNREADABLE):
                raise Damaged(f"{key}: {error}") from None
            raise OSError(f"the result storage cannot read {key}: {error}") from error

    def write(self, key: str, value: Any) -> None:
        self._store.write(value, key=key)

    def _read(self, key: str) -> Any:
        """What the store reads; from a local folder at a fifth of its 0.6 ms, most of which resolves the same paths.

        A checkpoint of 50,000 rows can have 5,000 records.
        """
        folder = self._store.result_storage
        if not isinstance(folder, LocalFileSystem) or not folder.basepath or self._store.metadata_storage:
            return self._store.read(key).result
        content = Path(folder.basepath).expanduser().joinpath(key).read_bytes()
        return ResultRecord.deserialize(content, backup_serializer=self._store.serializer).result

    def _nothing(self) -> tuple[type, str]:
        """Every kind of storage says "not there" in its own way; a failing network must not pass for it."""
        if self._missing is None:
            try:
                self._read(_NOWHERE)
            except Exception as error:
                self._missing = _signature(error, _NOWHERE)
            else:
                raise OSError(f"the result storage returns a record for {_NOWHERE}, which nobody wrote")
        return self._missing


def _signature(error: Exception, key: str) -> tuple[type, str]:
    return type(error), str(error).replace(key, "")
