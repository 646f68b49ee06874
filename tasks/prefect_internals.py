"""Every touch of what Prefect does not promise, each with its reason. No other module may touch any of it.

tests/test_prefect_internals.py says in words what a new version of Prefect has moved, and what relied on it;
pyproject.toml bounds Prefect to what these tests have passed.
"""

import logging
from typing import Any
from uuid import UUID

from prefect._internal.concurrency import logger as services_logger
from prefect._internal.control_listener import get_intent
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import AsyncClientContext, FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.filesystems import RemoteFileSystem

# Prefect's own stubs do not export it. The data of a final state: says whether the result could be written.
from prefect.results import ResultRecord as ResultRecord  # type: ignore[attr-defined]

# What Prefect logs, by which flows/logs.py and flows/runners/loop_thread.py know a line that says nothing to a user.
NOT_PERSISTED = "An error was encountered while committing transaction"  # a task's result that could not be written
STATE_LINES = ("Finished in state", "Task run failed with state")  # how a run or a task run ended
BEGIN_LINE, LINK_LINE = "Beginning flow run", "View at "  # as a run begins
INTERRUPTED_LINE = "Crash detected! Execution was "  # Ctrl+C
CANCELLED_LINE = "Execution was cancelled by the runtime environment"  # a task run cancelled through asyncio


def is_to_be_moved() -> bool:
    """Whether the worker that sent SIGTERM has said that this run is to be started again elsewhere.

    The exception that Prefect raises at SIGTERM says it nowhere, and the run's own handler keeps it from being raised.
    """
    return get_intent() in ("reschedule", "relinquish")


def use_client(client: AsyncClientContext) -> None:
    """Make the open `client` that of the running task's context.

    The public `async with` sets no variable on a context that is already open, and without it every task run opens
    a client, with an SSL context, of its own.
    """
    AsyncClientContext.__var__.set(client)


def forget_task_run_states() -> None:
    """Drop what the running flow keeps of every task run, to draw what its result went into.

    It is 10 KB a chunk, for as long as the flow runs, and nothing here reads it.
    """
    if context := FlowRunContext.get():
        context.run_results.clear()


def has_retries_left(run: FlowRun) -> bool:
    """Whether Prefect would run the flow of `run` again after an exception; nothing public says it."""
    return run.run_count <= (run.empirical_policy.retries or 0)


def let_go_on_uncounted(client: SyncPrefectClient, run: UUID) -> None:
    """Before `run` is put off: its next start is then no retry of it.

    The server counts each start of a run, retries among them, but for that of a run which was paused, and knows such a
    run by this mark alone; it takes it off once the run has started.
    """
    policy = client.read_flow_run(run).empirical_policy
    client.update_flow_run(run, empirical_policy=policy.model_copy(update={"resuming": True}))


def send_what_waits(timeout_seconds: float) -> bool:
    """Send what still waits in this process for Prefect's server; False where some of it could not be sent in time.

    Task run states and logs travel in background services. `drain_all` of any of them drains all; the public `drain`
    is that of a single one.
    """
    sent: Any = EventsWorker.drain_all(timeout=timeout_seconds, at_exit=False)
    return not sent.not_done


class Unsent(logging.Filter):
    """Takes what Prefect's background services complain of, of history that they could not send, off the terminal.

    Each of their lines quotes a whole event, and says nothing that a user could act on. `seen`: some was not sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False
        self._loggers = [services_logger, *(logging.getLogger(name) for name in ("EventsWorker", "APILogWorker"))]

    def start(self) -> None:
        for logger in self._loggers:
            logger.addFilter(self)

    def stop(self) -> None:
        for logger in self._loggers:
            logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        self.seen = self.seen or record.levelno >= logging.ERROR
        return record.levelno < logging.WARNING


def read_file(block: RemoteFileSystem, path: str) -> Any:
    """The content at `path`. `_sync`: on a thread with an event loop the method would return a coroutine."""
    return block.read_path(path, _sync=True)  # type: ignore[call-arg]  # which Prefect's decorator adds


def write_file(block: RemoteFileSystem, path: str, content: bytes) -> None:
    """Write `content` at `path`, as `read_file` reads it."""
    block.write_path(path, content, _sync=True)  # type: ignore[call-arg]


def full_path(block: RemoteFileSystem, path: str) -> str:
    """`path` as `block.filesystem` takes it: where `read_file` finds it. The public methods list nothing."""
    return block._resolve_path(path)


def base_path(block: RemoteFileSystem) -> str:
    """The folder of `block` as it begins the paths that `block.filesystem` lists; fsspec has no public name for it."""
    stripped: str = block.filesystem._strip_protocol(block.basepath)
    return stripped.rstrip("/") + "/"
