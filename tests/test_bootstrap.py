"""The bootstrap says what it does, does it once, and nothing in a dry run. See also test_server.py."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem

from deployments.bootstrap import BLOCK, TAG_LIMIT, Wanted, bootstrap, main


async def test_a_dry_run_changes_nothing(prefect: None, tmp_path: Path) -> None:
    """What would be created or set is told, and is not there afterwards."""
    wanted = Wanted(pool="dry", limit=7, storage=f"file://{tmp_path}")
    pool, limit, storage, _ = await bootstrap(wanted, dry_run=True)
    assert pool == "would be created: work pool dry (process)"
    assert limit == "would be set: 7 chunks at once over all runs (was: no limit)"
    assert storage.startswith(f"would be set: result storage file://{tmp_path}; workers need PREFECT_DEFAULT_RESULT")
    async with get_client() as client:
        with pytest.raises(ObjectNotFound):
            await client.read_work_pool("dry")
        with pytest.raises(ObjectNotFound):
            await client.read_global_concurrency_limit_by_name(TAG_LIMIT)


async def test_twice_is_once(prefect: None, tmp_path: Path) -> None:
    """The second time finds all of it there; a shared folder is a block that workers can load."""
    wanted = Wanted(pool="twice", storage=f"file://{tmp_path}/shared")
    pool, limit, storage, dead_runs = await bootstrap(wanted)
    assert (pool, limit) == ("created: work pool twice (process)", "not asked for: a limit on chunks (--limit N)")
    assert storage.endswith(f"=local-file-system/{BLOCK}")
    assert dead_runs.startswith(("created: ", "there: "))
    again = await bootstrap(wanted)
    assert [line.split(":")[0] for line in again] == ["there", "not asked for", "set", "there"]
    block: Any = await LocalFileSystem.aload(BLOCK)
    assert block.basepath == f"{tmp_path}/shared"


def test_a_storage_that_cannot_be_is_one_line(prefect: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what is wrong with it."""
    assert main(["--storage", "s3://"]) == 2
    assert capsys.readouterr().err.startswith("--storage s3://: ")
