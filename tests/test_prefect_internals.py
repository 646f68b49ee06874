"""A new version of Prefect that moves what it never promised fails here, in words, and not in a run."""

import asyncio
import contextvars
import importlib
import logging
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow, get_client, get_run_logger, task
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.context import AsyncClientContext, FlowRunContext
from prefect.filesystems import RemoteFileSystem
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Failed, Pending, Running, Scheduled, exception_to_crashed_state

NAMES = [
    ("prefect._internal.control_listener", "get_intent", "runners/interrupt.py: a run that its worker moves elsewhere"),
    ("prefect.context", "AsyncClientContext", "runners/loop_thread.py: one API client for all task runs"),
    ("prefect.context", "FlowRunContext", "sent.py: what the flow keeps of every task run"),
    ("prefect.events.worker", "EventsWorker", "local_server/run.py: the history is sent before the server ends"),
    ("prefect.results", "ResultRecord", "sent.py: whether a chunk's result was written"),
]


@pytest.fixture(autouse=True)
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prefect logs, and not what a run in this process has left of it."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        monkeypatch.setattr(logging.getLogger(name), "filters", [])


@pytest.fixture
def internals() -> Any:
    """Not imported at the top: where a name is gone, the test of the names is to say so."""
    return importlib.import_module("tasks.prefect_internals")


@pytest.mark.parametrize(("module", "name", "relies"), NAMES)
def test_a_name_is_where_it_was(module: str, name: str, relies: str) -> None:
    assert hasattr(importlib.import_module(module), name), f"Prefect has moved {module}.{name}; {relies}"


@pytest.mark.parametrize(("intent", "moved"), [(None, False), ("cancel", False), ("reschedule", True)])
def test_a_run_that_is_to_be_moved_knows_it(
    internals: Any, monkeypatch: pytest.MonkeyPatch, intent: str | None, moved: bool
) -> None:
    control = importlib.import_module("prefect._internal.attempt_control")
    assert {"reschedule", "relinquish"} <= set(control.INTENT_FOR_BYTE.values()), (
        f"a worker's intents are {control.INTENT_FOR_BYTE}; runners/interrupt.py leaves the run's state to two of them"
    )
    monkeypatch.setattr("prefect._internal.control_listener._intent", intent)
    assert internals.is_to_be_moved() is moved, "control_listener.get_intent says something else than what was sent"


def test_a_run_that_was_put_off_goes_on_without_counting_it(internals: Any, prefect: None) -> None:
    @flow
    def waiting() -> None: ...

    with get_client(sync_client=True) as client:
        run = client.create_flow_run(waiting).id
        client.set_flow_run_state(run, Running(), force=True)
        internals.let_go_on_uncounted(client, run)
        client.set_flow_run_state(run, Scheduled(), force=True)
        state: State[Any]
        for state in (Pending(), Running()):
            client.set_flow_run_state(run, state)
        found = client.read_flow_run(run)
        assert found.run_count == 1, "the server counts a start it is told not to; a wake-up would eat a retry"
        assert not found.empirical_policy.resuming


def test_a_client_that_is_open_becomes_that_of_a_context(internals: Any, prefect: None) -> None:
    async def in_a_task(client: Any) -> bool:
        internals.use_client(client)
        async with AsyncClientContext.get_or_create() as found:
            return found is client

    async def shared() -> bool:
        async with AsyncClientContext() as client:
            task = in_a_task(client)
            return await asyncio.get_running_loop().create_task(task, context=contextvars.Context())

    # Not an async test: those have the settings of before the server, and would start one more.
    assert asyncio.run(shared()), "ContextModel.__var__ no longer holds the client; submission.py shares one by it"


def test_what_a_flow_keeps_of_its_task_runs_can_be_forgotten(internals: Any, prefect: None) -> None:
    kept = []

    @task
    def one() -> list[str]:
        return ["a result"]

    @flow
    def some() -> None:
        context = FlowRunContext.get()
        assert context
        one(return_state=True)
        kept.append(len(context.run_results))
        internals.forget_task_run_states()
        kept.append(len(context.run_results))

    some()
    assert (kept[0] > 0, kept[1]) == (True, 0), (
        "the flow keeps states elsewhere than in run_results; sent.py holds memory flat by it"
    )


def test_a_flow_knows_whether_it_is_run_again(internals: Any, prefect: None) -> None:
    left = []

    @flow(retries=1, retry_delay_seconds=0)
    def failing() -> None:
        context = FlowRunContext.get()
        assert context
        assert context.flow_run
        left.append(internals.has_retries_left(context.flow_run))
        raise ValueError

    failing(return_state=True)
    assert left == [True, False], "empirical_policy or run_count count otherwise; endings raise for a retry by them"


def test_what_waits_in_background_services_is_sent_at_once(internals: Any, prefect: None) -> None:
    """The logs as well, whose service is another one."""

    @flow
    def talking() -> None:
        get_run_logger().info("to be sent")

    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: True}):
        state = talking(return_state=True)
    assert internals.send_what_waits(30) is True
    with get_client(sync_client=True) as client:
        of_run = LogFilterFlowRunId(any_=[state.state_details.flow_run_id])
        logs = client.read_logs(LogFilter(flow_run_id=of_run))
    sent = [log.message for log in logs]
    assert "to be sent" in sent, "drain_all sends its own service alone; local_server/run.py ends the server after it"


async def test_remote_files_are_read_and_written_where_a_loop_runs(internals: Any) -> None:
    block = RemoteFileSystem(basepath="memory://contract/here")
    internals.write_file(block, "a/b", b"text")
    content = internals.read_file(block, "a/b")
    assert content == b"text", f"`_sync` is gone and this is {content!r}; result_storage.RemoteStorage reads by it"


async def test_a_remote_file_is_listed_by_the_path_that_it_was_written_to(internals: Any) -> None:
    block = RemoteFileSystem(basepath="memory://contract/there/")
    internals.write_file(block, "job/a/b", b"text")
    found = block.filesystem.find(internals.full_path(block, "job"))
    assert [path.removeprefix(internals.base_path(block)) for path in found] == ["job/a/b"], (
        "_resolve_path or _strip_protocol lead elsewhere; result_storage.RemoteStorage lists and deletes by them"
    )


@pytest.mark.parametrize("writable", [True, False])
def test_a_task_run_says_whether_its_result_was_written(
    internals: Any, prefect: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, writable: bool
) -> None:
    @task(persist_result=True)
    def one() -> int:
        return 1

    found: list[Any] = []

    @flow
    def some() -> None:
        found.append(one(return_state=True).data)

    if not writable:
        (tmp_path / "storage").touch()
    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):
        some()
    [data] = found
    assert isinstance(data, internals.ResultRecord), f"a state's data is {data!r}; sent.py counts by ResultRecord"
    told = any(message.startswith(internals.NOT_PERSISTED) for message in caplog.messages)
    assert (data.is_persisted, told) == (writable, not writable), (
        "is_persisted or the line about it has changed; dispatch.py and logs.py say it once for all chunks"
    )


def test_lines_about_states_begin_as_they_did(internals: Any, prefect: None, caplog: pytest.LogCaptureFixture) -> None:
    @task
    def returned() -> State[Any]:
        return Failed(message="returned")

    @flow
    def some() -> None:
        returned(return_state=True)

    with caplog.at_level(logging.INFO):
        some(return_state=True)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("prefect.task_runs")]
    unknown = [line for line in lines if not line.startswith(internals.STATE_LINES)]
    assert lines, "Prefect logs nothing under prefect.task_runs; logs.py keeps the terminal quiet by that name"
    assert unknown == [], "Prefect's lines about states begin otherwise; logs.py keeps them off a terminal"


def test_lines_about_interruptions_say_what_they_said(
    internals: Any, prefect: None, caplog: pytest.LogCaptureFixture
) -> None:
    @flow
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert any(message.startswith(internals.INTERRUPTED_LINE) for message in caplog.messages), (
        f"no line begins {internals.INTERRUPTED_LINE!r}; logs.py keeps it off a terminal"
    )
    state = asyncio.run(exception_to_crashed_state(asyncio.CancelledError()))
    assert internals.CANCELLED_LINE in (state.message or ""), (
        f"a cancelled task run is {state.message!r}; runners/loop_thread.py drops the two lines about each"
    )


async def test_what_the_services_could_not_send_is_heard_and_kept_from_the_terminal(
    internals: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internals.services_logger, "filters", [])  # those of the server that the tests share
    services = importlib.import_module("prefect._internal.concurrency.services")

    class Failing(services.QueueService):  # type: ignore[misc, name-defined]
        async def _handle(self, item: str) -> None:
            raise ConnectionError(item)

    def send() -> None:
        service = Failing.instance()
        service.send("an event")
        service.drain()

    unsent = internals.Unsent()
    unsent.start()
    try:
        await asyncio.to_thread(send)
    finally:
        unsent.stop()
    assert unsent.seen, "the services complain elsewhere; local_server/run.py says by it that the history is incomplete"
    assert "an event" not in capfd.readouterr().err
