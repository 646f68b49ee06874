"""The thread of a task runner, its loop, and what runs and waits there. Nothing in it may block the loop."""

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from prefect.client.schemas.objects import State
from prefect.context import AsyncClientContext
from prefect.logging import get_logger
from prefect.states import Cancelled

from flows.runners.submission import Submission
from tasks.prefect_internals import CANCELLED_LINE

logger = get_logger("task_runner.eventloop")


class LoopThread:
    """Only its loop starts and ends task runs, at most `limit` at once. Its methods may be called from any thread."""

    loop: asyncio.AbstractEventLoop
    _closing: asyncio.Event

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[Submission] = deque()
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

    def submit(self, submission: Submission) -> None:
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
