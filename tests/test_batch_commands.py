"""`gemini-infer batches`: what is said of jobs, and those of which one or another cannot be ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.commands import batch_cancel, batch_list
from flows.endings.exit_codes import ExitCode
from tasks.core.batches import BatchJob
from tasks.core.checkpoint.attempts import latest_manifest, open_attempt_record
from tasks.core.checkpoint.contents import Manifest
from tasks.core.checkpoint.groups import GroupRecords, Phase, PlannedRow
from tasks.core.checkpoint.layout import ROOT
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.errors import ApiError

JOB = f"{ROOT}/a-job"


class Api:
    """Jobs end when they are asked to; errors come as they are listed, by call and job."""

    def __init__(self, errors: dict[tuple[str, str], list[Exception]]) -> None:
        self.errors, self.cancelled = errors, list[str]()

    async def get(self, name: str) -> BatchJob:
        self._fail("get", name)
        return BatchJob(name, state="CANCELLED" if name in self.cancelled else "RUNNING")

    async def cancel(self, name: str) -> None:
        self._fail("cancel", name)
        self.cancelled.append(name)

    def _fail(self, call: str, name: str) -> None:
        if errors := self.errors.get((call, name)):
            raise errors.pop()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStorage:
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    monkeypatch.setattr(batch_cancel, "ASK_SECONDS", 0.0)
    storage = LocalStorage(tmp_path)
    manifest = Manifest(
        job=JOB,
        name="d",
        attempt="run-1",
        created=datetime.now(UTC),
        settings="",
        rows=3,
        chunks=1,
        config={"dataset": "d"},
    )
    open_attempt_record(storage, manifest)
    return storage


def cancelled(storage: LocalStorage, api: Api, monkeypatch: pytest.MonkeyPatch) -> ExitCode:
    @asynccontextmanager
    async def groups_of(*_: Any) -> AsyncIterator[Any]:
        yield SimpleNamespace(api=api)

    monkeypatch.setattr(batch_cancel, "groups_of", groups_of)
    return batch_cancel.cancel(storage, "a-job")


def submitted(storage: LocalStorage, *names: str) -> None:
    records = GroupRecords(storage, JOB)
    for name in names:
        planned = records.plan(name, "run-1", [PlannedRow(0, "a", "k")], 1.0)
        records.note(planned, Phase.SUBMITTED, 1.0, batch=f"batches/{name}")


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        ("get", ApiError(404, "NOT_FOUND", "no such job"), ExitCode.FAILED),
        ("cancel", ApiError(400, "INVALID_ARGUMENT", "not now"), ExitCode.FAILED),
        ("get", ApiError(503, "UNAVAILABLE", "busy"), ExitCode.FINISHED),
        ("get", ConnectionError("lost"), ExitCode.FINISHED),
    ],
)
def test_a_job_that_cannot_be_ended_keeps_no_other_at_work(
    storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    call: str,
    error: Exception,
    code: ExitCode,
) -> None:
    """What passes is tried again; what does not is said, and costs the exit code."""
    submitted(storage, "a", "b", "c")
    api = Api({(call, "batches/a"): [error]})
    assert cancelled(storage, api, monkeypatch) == code
    assert {"batches/b", "batches/c"} <= set(api.cancelled)
    told = capsys.readouterr().out
    assert f"batches/a: {error}" in told
    assert ("Not known to have ended: batches/a\n" in told) == (code is ExitCode.FAILED)


def test_a_job_that_may_be_there_and_has_no_name_yet_is_not_taken_for_ended(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(storage, "a")
    records = GroupRecords(storage, JOB)
    creating = records.note(records.plan("b", "run-1", [PlannedRow(1, "b", "l")], 1.0), Phase.CREATING, 1.0)
    api = Api({})
    assert cancelled(storage, api, monkeypatch) == ExitCode.FAILED
    assert api.cancelled == ["batches/a"]
    assert f"Not known to have ended: {creating.display_name}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("mode", "waits"), [("online", "batch"), ("auto", "auto")])
def test_the_command_that_waits_is_one_that_a_run_takes(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: str, waits: str
) -> None:
    """Whatever the latest run was."""
    monkeypatch.delenv("GOOGLE_API_KEY")
    latest = latest_manifest(storage, JOB)
    assert latest
    config = {"dataset": "d", "mode": mode}
    open_attempt_record(
        storage, latest.model_copy(update={"attempt": "run-2", "created": datetime.now(UTC), "config": config})
    )
    submitted(storage, "a")
    batch_list.show(storage)
    assert f"  wait:    python flows/infer.py --dataset d --mode {waits} --resume\n" in capsys.readouterr().out
