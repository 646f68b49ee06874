"""The bootstrap says what it does, does it once, and nothing in a dry run. See also test_server.py."""

from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.filesystems import LocalFileSystem
from prefect.states import Crashed, Failed, Running

from deployments.bootstrap import BLOCK, DEAD_RUNS, TAG_LIMIT, Wanted, _automation, bootstrap, main


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


async def test_what_an_earlier_version_made_is_mended(prefect: None) -> None:
    """The automation that marks dead runs did so by force."""
    await bootstrap(Wanted(pool="mended"))
    async with get_client() as client:
        (there,) = await client.read_automations_by_name(DEAD_RUNS)
        by_force = there.actions[0].model_copy(update={"force": True})
        await client.update_automation(there.id, _automation().model_copy(update={"actions": [by_force]}))
        assert (await bootstrap(Wanted(pool="mended")))[-1].startswith("set: ")
        (mended,) = await client.read_automations_by_name(DEAD_RUNS)
        assert (mended.id, mended.actions) == (there.id, there.actions)


async def test_a_run_that_has_ended_is_not_marked_as_crashed_and_one_at_work_is(prefect: None) -> None:
    """As the automation asks the server for it, which may hear of the last heartbeat after the end."""

    @flow
    def some() -> None: ...

    action: Any = _automation().actions[0]
    async with get_client() as client:
        ends: dict[str, State[Any]] = {"FAILED": Failed(name="Incomplete"), "CRASHED": Running()}
        for becomes, ended in ends.items():
            run = await client.create_flow_run(some, state=ended)
            await client.set_flow_run_state(run.id, Crashed(), force=action.force)
            state = (await client.read_flow_run(run.id)).state
            assert state
            assert state.type == becomes


def test_a_storage_that_cannot_be_is_one_line(prefect: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and what is wrong with it."""
    assert main(["--storage", "s3://"]) == 2
    assert capsys.readouterr().err.startswith("--storage s3://: ")
