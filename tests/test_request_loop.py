"""The one loop of a process that requests live on, and what the chunks of a run share there."""

import asyncio
import threading
import time
from threading import Event
from typing import Any

import pytest

from tasks.core.answering import process as module
from tasks.core.answering import run_here
from tasks.core.answering.item import Item
from tasks.core.answering.process import Process
from tasks.core.answering.request_loop import RequestLoop
from tasks.core.answering.run import Run
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.prompts.prompting import Prompting
from tasks.core.records import Chunk
from tests.answerers import TableAnswerer
from tests.memory import Memory


def run_named(attempt: str) -> Run:
    data: Any = None
    limits = LimitsConfig(max_concurrent=1, timeout_seconds=1)
    return Run("job", attempt, data, GenerateConfig(model="m"), limits, Prompting("text"))


def test_callers_from_many_threads_get_the_same_loop() -> None:
    """Else a process would hold twice as many requests in flight as it may."""
    for _ in range(20):
        requests = RequestLoop()
        loops: set[asyncio.AbstractEventLoop] = set()
        start = threading.Barrier(16)

        def ask(
            requests: RequestLoop = requests,
            loops: set[asyncio.AbstractEventLoop] = loops,
            start: threading.Barrier = start,
        ) -> None:
            start.wait()
            loops.add(requests.loop())

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [loop] = loops
        loop.call_soon_threadsafe(loop.stop)
        while loop.is_running():
            time.sleep(0.001)
        loop.close()


async def test_a_process_that_serves_run_after_run_keeps_no_answerer_of_those_that_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Dask worker lives for weeks; between the chunks of one run the connections stay."""
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.05)
    made: list[TableAnswerer] = []

    def make(run: Run, storage: object, watcher: object) -> TableAnswerer:
        made.append(TableAnswerer({}))
        return made[-1]

    process = Process(make)
    for number in range(3):
        run = run_named(f"run{number}-1")
        async with process.using(run, Memory()) as first:
            pass
        async with process.using(run, Memory()) as second:
            assert second is first
            await asyncio.sleep(0.1)
            assert not made[-1].closed
    async with asyncio.timeout(30):
        while not all(answerer.closed for answerer in made):
            await asyncio.sleep(0.01)
    assert len(made) == 3


async def test_a_chunk_that_arrives_after_the_stop_sends_nothing() -> None:
    """In a process that had none of the run's chunks when it was told."""
    process = Process(lambda run, storage, watcher: TableAnswerer({}))
    run = run_named("late-1")
    process.requests.adopt(asyncio.get_running_loop())
    process.stop(run)
    await asyncio.sleep(0)
    async with process.using(run, Memory()) as here:
        stopped = here.answerer.stopped
    assert stopped
    assert stopped.reason is StopReason.INTERRUPTED
    await process.close(run)


async def test_a_stop_does_not_wait_for_rows_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub may be down for minutes; a thread that waits for it cannot be stopped."""
    monkeypatch.setattr(run_here, "LOOK_SECONDS", 0.01)
    process, run, reading, over = (
        Process(lambda run, storage, watcher: TableAnswerer({})),
        run_named("slow-1"),
        Event(),
        Event(),
    )
    process.requests.adopt(asyncio.get_running_loop())

    def read() -> list[Item]:
        reading.set()
        over.wait(30)
        return []

    chunk = asyncio.create_task(process.answer(run, Memory(), Chunk(0, (range(1),)), read))
    await asyncio.to_thread(reading.wait, 10)
    process.stop(run)
    brought = await asyncio.wait_for(chunk, 10)
    over.set()
    assert isinstance(brought.early_end, RunStopped)
    await process.close(run)
