"""A task runner that runs all async tasks of a flow on one long-lived event loop.

Prefect's thread pool gives every async task run a loop and an API client of its own, so task runs
can share no HTTP pool, no client and no semaphore, and each costs several times the CPU. Here one
background thread owns one loop and one API client for as long as the flow runs.

This module knows nothing of chunks, models or rows, and nothing in it may block its loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from prefect.client.schemas.objects import RunInput, State
from prefect.context import AsyncClientContext
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.logging import get_logger
from prefect.states import Cancelled, Crashed
from prefect.task_engine import run_task_async, run_task_sync
from prefect.task_runners import TaskRunner
from prefect.tasks import Task
from prefect.utilities.collections import visit_collection

from tasks.prefect_internals import CANCELLED_LINE, use_client

logger = get_logger("task_runner.eventloop")


class EventLoopTaskRunner(TaskRunner[PrefectConcurrentFuture[Any]]):
    """Starts task runs in the order of their submission, at most `max_workers` at once (None: all).

    `submit` never blocks and may be called from any thread, a running task included. A future
    always ends with a state; what happens to a task is never raised at whoever waits for it.
    Synchronous tasks run in asyncio's default threads.

    `grace_seconds` is how long cancelled tasks may clean up before the flow ends without them.
    """

    def __init__(self, max_workers: int | None = None, grace_seconds: float = 4.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # No locks or loops before `__enter__`: Prefect pickles the runner along with its flow.
        self._thread: _LoopThread | None = None
        self.max_workers = max_workers
        self.grace_seconds = grace_seconds

    @property
    def max_workers(self) -> int | None:
        """A flow may set this on its running task runner, best before it submits a task."""
        return self._max_workers

    @max_workers.setter
    def max_workers(self, value: int | None) -> None:
        if value is not None and value < 1:
            raise ValueError(f"max_workers={value} is not at least 1")
        self._max_workers = value
        if self._thread is not None:
            self._thread.limit = value or sys.maxsize

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that all async tasks of this runner share."""
        return self._running_thread().loop

    def duplicate(self) -> Self:
        return type(self)(self.max_workers, self.grace_seconds)

    def submit(
        self,
        task: Task[..., Any],
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[RunInput]] | None = None,
    ) -> PrefectConcurrentFuture[Any]:
        """Queue one task run. After `cancel_all` its future is Cancelled from the start."""
        submission = _Submission(task, parameters, wait_for, dependencies)
        # First, so that the future is whole before a state reaches it.
        future = PrefectConcurrentFuture[Any](submission.task_run_id, submission.future)
        self._running_thread().submit(submission)
        return future

    def stop_starting(self) -> None:
        """Let what runs come to its end and start nothing more. Thread-safe; does not wait."""
        if self._thread is not None:
            self._thread.stop_starting()

    def cancel_all(self) -> None:
        """Cancel what runs and start nothing more. Thread-safe; does not wait.

        Prefect calls this on the flow's own runner, which is only the pattern of the one that
        runs (see `duplicate`): there it has nothing to do.
        """
        if self._thread is not None:
            self._thread.cancel_all()

    def __enter__(self) -> Self:
        super().__enter__()
        self._thread = _LoopThread(self.max_workers or sys.maxsize)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the task runs that have started: cancelled ones only for `grace_seconds`."""
        thread = self._running_thread()
        try:
            if exc_type is not None:
                thread.cancel_all()
            thread.close(self.grace_seconds)
        except BaseException:  # Ctrl+C while waiting
            thread.cancel_all()
            thread.close(self.grace_seconds)
            raise
        finally:
            super().__exit__(exc_type, exc_value, traceback)

    def _running_thread(self) -> _LoopThread:
        if self._thread is None:
            raise RuntimeError("The task runner must be started before submitting work.")
        return self._thread


@dataclass(slots=True, eq=False)
class _Submission:
    """All that is kept of a task run until its turn comes."""

    task: Task[..., Any]
    parameters: dict[str, Any]
    wait_for: Iterable[PrefectFuture[Any]] | None
    dependencies: dict[str, set[RunInput]] | None
    task_run_id: uuid.UUID = field(default_factory=uuid.uuid4)
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    future: Future[State[Any]] = field(default_factory=Future)

    async def run(self, client: AsyncClientContext) -> State[Any]:
        use_client(client)
        call: dict[str, Any] = {
            "task": self.task,
            "task_run_id": self.task_run_id,
            "parameters": self.parameters,
            "wait_for": self.wait_for,
            "return_type": "state",
            "dependencies": self.dependencies,
            "context": {},
        }
        try:
            await _settled([self.parameters, self.wait_for])
            run: Any = run_task_async if self.task.isasync else _run_in_thread
            state: State[Any] = await run(**call)
            return state
        except (Exception, SystemExit) as error:  # SystemExit would end the loop, and all with it
            return Crashed(message=f"Task run failed in Prefect's engine: {error!r}", data=error)


async def _run_in_thread(**call: Any) -> Any:
    return await asyncio.to_thread(lambda: run_task_sync(**call))


async def _settled(arguments: Any) -> None:
    """Wait for the futures among a task's arguments; the engine would block the loop for them."""
    futures: list[PrefectFuture[Any]] = []
    visit_collection(
        arguments,
        visit_fn=lambda part: futures.append(part) if isinstance(part, PrefectFuture) else None,
        return_data=False,
    )
    for future in futures:
        if isinstance(future, PrefectConcurrentFuture):
            await asyncio.wait([asyncio.wrap_future(future.wrapped_future)])
        else:
            await asyncio.to_thread(future.wait)


class _LoopThread:
    """A thread, its loop, and what runs and waits there. Only the loop starts and ends task runs."""

    loop: asyncio.AbstractEventLoop
    _closing: asyncio.Event

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[_Submission] = deque()
        self._active: dict[asyncio.Task[State[Any]], Future[State[Any]]] = {}
        self._refusing = self._cancelled = False
        self._never_started: State[Any] = Cancelled(message="Cancelled before it started")

    def start(self) -> None:
        """Return once the loop runs and its API client is open."""
        started = Future[None]()
        get_logger("prefect.task_runs").addFilter(_cancelled_is_no_error)  # twice adds it once
        # In a copy of the caller's context, which is where Prefect keeps its settings.
        in_context = contextvars.copy_context().run
        self._thread = threading.Thread(
            target=lambda: in_context(asyncio.run, self._serve(started)),
            name="EventLoopTaskRunner",
            daemon=True,
        )
        self._thread.start()
        started.result()

    async def _serve(self, started: Future[None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        try:
            async with AsyncClientContext() as self._client:
                started.set_result(None)
                await self._closing.wait()
                while self._active:
                    await asyncio.wait(self._active)
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    def submit(self, submission: _Submission) -> None:
        self._waiting.append(submission)
        self._soon(self._start_waiting)

    def stop_starting(self) -> None:
        self._refusing = True
        self._soon(self._start_waiting)

    def cancel_all(self) -> None:
        self._refusing = self._cancelled = True
        self._soon(self._cancel_active)

    def close(self, grace_seconds: float) -> None:
        self._refusing = True
        self._soon(self._start_waiting)
        self._soon(lambda: self._closing.set())
        self._thread.join(grace_seconds if self._cancelled else None)
        if self._thread.is_alive():
            logger.warning("%d cancelled task runs did not end in time", len(self._active))
        for future in list(self._active.values()):
            _settle(future, Cancelled(message="Cancelled, and did not end in time"))
        self._start_waiting()  # what came too late for the loop

    def _soon(self, callback: Callable[[], object]) -> None:
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:  # The loop is closed, so nothing is started any more.
            self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and (self._refusing or len(self._active) < self.limit):
            submission = self._waiting.popleft()
            if self._refusing:
                _settle(submission.future, self._never_started)
                continue
            task = self.loop.create_task(submission.run(self._client), context=submission.context)
            self._active[task] = submission.future
            task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[State[Any]]) -> None:
        future = self._active.pop(task)
        if task.cancelled():
            _settle(future, Cancelled(message="Cancelled while it ran"))
        elif error := task.exception():  # Prefect's signals, such as Pause
            future.set_exception(error)
        else:
            _settle(future, task.result())
        self._start_waiting()

    def _cancel_active(self) -> None:
        logger.info("Cancelling %d task runs; %d have not started", len(self._active), len(self._waiting))
        for task in self._active:
            task.cancel()
        self._start_waiting()


def _settle(future: Future[State[Any]], state: State[Any]) -> None:
    with suppress(InvalidStateError):
        future.set_result(state)


class _CancelledIsNoError(logging.Filter):
    """Drops the two red lines that Prefect logs for each task run cancelled through asyncio.

    Prefect knows no other end for such a task run than Crashed; one line says it for all of them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return CANCELLED_LINE not in record.getMessage()


_cancelled_is_no_error = _CancelledIsNoError()
