"""What is left of earlier batch jobs, settled where something of it cannot be read or reached."""

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flows.batch import settling
from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.earlier import EarlierGroups
from tasks.core.answering.batch.groups import Groups
from tasks.core.checkpoint.groups import Group, GroupRecords, Phase, PlannedRow
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import ApiError, Deferred

JOB = "job"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def left(storage: LocalStorage, name: str, phase: Phase, rows: int = 2, **known: Any) -> Group:
    records = GroupRecords(storage, JOB)
    planned = [PlannedRow(row, f"r{row}", f"{name}{row}") for row in range(rows)]
    return records.note(records.plan(name, "run-1", planned, 1.0), phase, 1.0, **known)


def test_rows_that_cannot_be_read_keep_none_from_being_sent(storage: LocalStorage) -> None:
    """Those of other groups are in flight as before."""
    groups = [left(storage, name, Phase.SUBMITTED) for name in "ab"]
    storage.write(f"{JOB}/batch/a/rows", "spoiled")
    assert GroupRecords(storage, JOB).keys_of(groups) == {"b0": 1, "b1": 1}


async def test_once_one_group_cannot_be_known_no_other_is_looked_for(storage: LocalStorage) -> None:
    """The error is that of the call, for whoever asks what it was."""
    for name in "ab":
        left(storage, name, Phase.CREATING)

    async def settle(group: Group) -> Group:
        if group.name == "b":
            raise ApiError(503, "UNAVAILABLE", "busy")
        await asyncio.Event().wait()
        return group

    groups = cast(Groups, SimpleNamespace(settle=settle))
    earlier = EarlierGroups(groups, GroupRecords(storage, JOB), storage, JOB, lambda group: True, Watcher())
    with pytest.raises(ApiError):
        await earlier.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_was_only_uploaded_is_no_job_at_work(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does not make jobs seem as old as time, of which a run would look the less often."""
    monkeypatch.setattr(settling, "get_run_logger", lambda: logging.getLogger())
    monkeypatch.setattr(settling, "runtime", SimpleNamespace(deployment=SimpleNamespace(id="some deployment")))
    monkeypatch.setattr(settling, "time", SimpleNamespace(time=lambda: 1000.0))
    left(storage, "a", Phase.SUBMITTED, created=900.0)
    left(storage, "b", Phase.UPLOADED, rows=5)
    nobody = cast(Any, None)
    later = settling._Settling(RunConfig(dataset="d"), storage, JOB, nobody, None, nobody)._not_now("no connection")
    assert isinstance(later, Deferred)
    assert later.message == "1 batch job with 2 rows at work, which cannot be looked after now (no connection)"
    assert later.until.timestamp() == 1600.0
