"""Which storage results go to, and what it does with them."""

import stat
import threading
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]  # not in __all__
from prefect.serializers import JSONSerializer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from tasks import result_storage as storage
from tasks.core.checkpoint.layout import Damaged, StorageError
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.errors import InputError
from tasks.result_storage import RemoteStorage, default_storage, storage_of


def test_without_a_block_results_go_to_the_folder_of_this_machine(prefect: None, tmp_path: Path) -> None:
    """The server names none."""
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path}):
        assert default_storage().basepath == str(tmp_path)


def test_a_server_may_name_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked where there is one; without one, nothing is started to ask it."""
    of_the_server = LocalFileSystem(basepath=str(tmp_path / "server"))
    monkeypatch.setattr(storage, "get_default_result_storage", lambda: of_the_server)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert default_storage() is of_the_server
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path}, restore_defaults={PREFECT_API_URL}):
        assert default_storage().basepath == str(tmp_path)


def test_a_block_that_is_not_there_is_one_line(prefect: None) -> None:
    """With the way out; else Prefect's engine would end the run with a traceback."""
    with (
        temporary_settings({PREFECT_DEFAULT_RESULT_STORAGE_BLOCK: "local-file-system/nope"}),
        pytest.raises(InputError) as refused,
    ):
        default_storage()
    assert refused.value.line.startswith("PREFECT_DEFAULT_RESULT_STORAGE_BLOCK=local-file-system/nope: ")
    assert "bootstrap.py --storage" in refused.value.line


def storages(tmp_path: Path) -> list[LocalStorage | RemoteStorage]:
    local = storage_of(LocalFileSystem(basepath=str(tmp_path / "local")))
    remote = storage_of(RemoteFileSystem(basepath=f"memory://bucket{tmp_path}"))
    assert isinstance(local, LocalStorage)
    assert isinstance(remote, RemoteStorage)
    return [local, remote]


def test_every_kind_of_storage_keeps_and_lists_and_removes_records(tmp_path: Path) -> None:
    """What is not there is None, or nothing; a prefix is a folder; text comes back as it was."""
    for kept in storages(tmp_path):
        assert kept.read("a/b/one") is None
        assert kept.keys("a") == []
        kept.delete(["a/b/one"])
        values = {"a/b/one": {"text": "한\u2028\ud800"}, "a/b/two": [1], "a/c": None, "ab/three": "x"}
        for key, value in values.items():
            kept.write(key, value)
        kept.write("a/b/two", [2])
        assert kept.read("a/b/one") == {"text": "한\u2028\ud800"}
        assert kept.read("a/b/two") == [2]
        assert kept.keys("a") == ["a/b/one", "a/b/two", "a/c"]
        assert kept.size("a/b") > 20
        kept.delete(["a/b/one", "a/b/two", "a/b/three"])
        assert kept.keys("a") == ["a/c"]


def test_a_record_prefect_wrote_is_read_and_any_other_is_damaged(tmp_path: Path) -> None:
    """As JSON, whatever else it names or holds."""
    prefects = ResultRecord(
        result={"rows": []}, metadata=ResultRecordMetadata(serializer=JSONSerializer(), storage_key="k")
    ).serialize()
    pickled = ResultRecord(result={"rows": []}, metadata=ResultRecordMetadata(storage_key="k")).serialize()
    deep = b"[" * 100_000
    for kept in storages(tmp_path):
        assert isinstance(kept, LocalStorage | RemoteStorage)
        block = kept._block if isinstance(kept, RemoteStorage) else LocalFileSystem(basepath=str(kept.folder))
        block.write_path("prefects", prefects)
        assert kept.read("prefects") == {"rows": []}
        for damaged in (pickled, deep, b"", b"\xff", b'{"metadata": 7, "result": 7}', prefects[:-9]):
            block.write_path("damaged", damaged)
            with pytest.raises(Damaged, match="damaged"):
                kept.read("damaged")


def test_local_records_are_for_their_owner_only_and_whole_or_not_there(tmp_path: Path) -> None:
    """Whatever the umask; a draft that a kill left is no record."""
    kept = LocalStorage(tmp_path / "results")
    kept.write("job/attempt/record", [1])
    record = tmp_path / "results/job/attempt/record"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in list(record.parents)[:3]} == {0o700}
    (record.parent / ".record.1a2b3c4d").write_text("{")
    assert kept.keys("job") == ["job/attempt/record"]
    kept.write("job/other", [1])
    with pytest.raises(StorageError, match="not JSON serializable"):
        kept.write("job/attempt/record", object())
    assert kept.read("job/attempt/record") == [1]
    kept.delete(["job/attempt/record"])
    assert not record.parent.exists()
    assert kept.keys("job") == ["job/other"]


def test_a_write_that_neither_ends_nor_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that has lost its server."""
    monkeypatch.setattr("tasks.core.checkpoint.storage.MOST_SECONDS", 0.1)
    kept = LocalStorage(tmp_path)
    go_on = threading.Event()
    monkeypatch.setattr(kept, "_write", lambda key, content: go_on.wait(30))
    with pytest.raises(StorageError, match=r"cannot write .*record: no answer within 0\.1 s"):
        kept.write("record", [1])
    go_on.set()


def test_what_the_storage_cannot_do_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A file in place of its folder: not an empty storage."""
    (tmp_path / "results").touch()
    kept = LocalStorage(tmp_path / "results")
    for attempt in (lambda: kept.read("a/b"), lambda: kept.write("a/b", 1), lambda: kept.keys("a")):
        with pytest.raises(StorageError, match=r"cannot (read|write|list) .*results.*: (Not a directory|File exists)"):
            attempt()


def test_a_storage_that_cannot_list_is_refused_with_the_way_out() -> None:
    """Answers that cannot be found would be paid for again."""
    with pytest.raises(InputError, match="is a Secret, which cannot list what it holds; use a local-file-system"):
        storage_of(Secret(value="x"))
