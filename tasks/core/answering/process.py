"""What there is once a process: the loop of the requests, and the runs at work on it. A test makes its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tasks.core.answering.base import Watcher
from tasks.core.answering.request_loop import RequestLoop
from tasks.core.answering.run import Run
from tasks.core.answering.run_here import ChunkAnswers, MakeAnswerer, ReadItems, RunHere
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.lock_watch import until_lost
from tasks.core.errors import StopReason
from tasks.core.records import Chunk, RowAnswer

IDLE_SECONDS = 30.0  # after its last chunk, a process keeps a run's connections for as long


class Process:
    """`make_answerer` is asked once for each run. All but `requests` and `stop` is for the loop of the requests."""

    def __init__(self, make_answerer: MakeAnswerer) -> None:
        self.make_answerer = make_answerer
        self.requests = RequestLoop()
        self._runs: dict[str, RunHere] = {}  # by attempt
        self._stops: dict[str, tuple[StopReason, str]] = {}
        self._closing: set[asyncio.Task[list[RowAnswer]]] = set()

    async def open(self, run: Run, storage: Storage, watcher: Watcher) -> RunHere:
        """`run` in this process until `close`; `watcher` hears how it is going."""
        here = self._here(run, storage, watcher)
        here.users += 1
        return here

    async def close(self, run: Run) -> list[RowAnswer]:
        """End what `open` or a chunk began; returns the answers that could not be saved."""
        here = self._runs.pop(run.attempt, None)
        return await here.close() if here else []

    def stop(self, run: Run, reason: StopReason = StopReason.INTERRUPTED, message: str = "interrupted") -> None:
        """End the chunks of `run` in this process, with what has arrived; from any thread."""

        def stop() -> None:
            self._stops[run.attempt] = reason, message  # for a chunk that is only just arriving here
            if here := self._runs.get(run.attempt):
                here.stop(reason, message)

        self.requests.loop().call_soon_threadsafe(stop)

    async def answer(self, run: Run, storage: Storage, chunk: Chunk, read: ReadItems) -> ChunkAnswers:
        """See RunHere.answer."""
        async with self.using(run, storage) as here:
            return await here.answer(chunk, read)

    @asynccontextmanager
    async def using(self, run: Run, storage: Storage) -> AsyncIterator[RunHere]:
        """`run` in this process, for a chunk. A process that serves run after run does not keep it for ever."""
        here = self._here(run, storage, Watcher())
        here.users += 1
        try:
            yield here
        finally:
            here.users -= 1
            if not here.users:
                asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_if_idle, run)

    def _here(self, run: Run, storage: Storage, watcher: Watcher) -> RunHere:
        if run.attempt not in self._runs:
            here = self._runs[run.attempt] = RunHere(run, storage, self.make_answerer, watcher)
            if run.owner:
                here.lock_watch = asyncio.create_task(self._stop_with_owner(run, storage))
            if run.attempt in self._stops:
                here.stop(*self._stops[run.attempt])
        return self._runs[run.attempt]

    async def _stop_with_owner(self, run: Run, storage: Storage) -> None:
        """On a cluster nobody else would."""
        why = await until_lost(storage, run.job, run.owner)
        self.stop(run, StopReason.TAKEN_OVER, why)

    def _close_if_idle(self, run: Run) -> None:
        if (here := self._runs.get(run.attempt)) and not here.users:
            self._closing.add(task := asyncio.create_task(self.close(run)))
            task.add_done_callback(self._closing.discard)
