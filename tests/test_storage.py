"""Which storage results go to, before a flow runs."""

from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_DEFAULT_RESULT_STORAGE_BLOCK,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from tasks import storage
from tasks.core.errors import InputError
from tasks.storage import default_storage


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
    assert refused.value.line.startswith("ValueError: PREFECT_DEFAULT_RESULT_STORAGE_BLOCK=local-file-system/nope: ")
    assert "bootstrap.py --storage" in refused.value.line
