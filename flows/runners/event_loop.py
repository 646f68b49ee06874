"""A task runner that runs all async tasks of a flow on one long-lived event loop.

Prefect's thread pool gives every async task run a loop and an API client of its own, so task runs
can share no HTTP pool, no client and no semaphore, and each costs several times the CPU. Here one
background thread owns one loop and one API client for as long as the flow runs.

This module knows nothing of chunks, models or rows, and nothing in it may block its loop.
"""

import asyncio
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from prefect.client.schemas.objects import RunInput
from prefect.futures import PrefectConcurrentFuture, PrefectFuture
from prefect.task_runners import TaskRunner
from prefect.tasks import Task

from flows.runners.loop_thread import LoopThread
from flows.runners.submission import Submission


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
        self._thread: LoopThread | None = None
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
        submission = Submission(task, parameters, wait_for, dependencies)
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
        self._thread = LoopThread(self.max_workers or sys.maxsize)
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

    def _running_thread(self) -> LoopThread:
        if self._thread is None:
            raise RuntimeError("The task runner must be started before submitting work.")
        return self._thread
