"""The one loop of a process that requests live on, and what the chunks of a run share there."""

import asyncio
import threading
import time
from typing import Any

import pytest

from tasks import answer_chunk as inference
from tasks.core.answering import request_loop as home
from tasks.core.config.parameters import GenerateConfig, LimitsConfig
from tasks.core.errors import StopReason
from tasks.core.planning.run import Run
from tests.memory import Memory


def run_named(attempt: str) -> Run:
    data: Any = None
    return Run("job", attempt, data, GenerateConfig(model="m"), LimitsConfig(max_concurrent=1, timeout_seconds=1))


def test_callers_from_many_threads_get_the_same_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a process would hold twice as many requests in flight as it may."""
    for _ in range(20):
        monkeypatch.setattr(home, "_home", None)
        loops: set[asyncio.AbstractEventLoop] = set()
        start = threading.Barrier(16)

        def ask(loops: set[asyncio.AbstractEventLoop] = loops, start: threading.Barrier = start) -> None:
            start.wait()
            loops.add(home.home())

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


async def test_a_process_that_serves_run_after_run_keeps_no_client_of_those_that_are_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Dask worker lives for weeks; between the chunks of one run the client stays."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    monkeypatch.setattr(inference, "IDLE_SECONDS", 0.05)
    for number in range(3):
        run = run_named(f"run{number}-1")
        async with inference._using(run, Memory()) as first:
            pass
        async with inference._using(run, Memory()) as second:
            assert second is first
            await asyncio.sleep(0.1)
            assert inference._shared[run.attempt] is first
    async with asyncio.timeout(30):
        while inference._shared or not first.client._session.closed:
            await asyncio.sleep(0.01)


async def test_a_chunk_that_arrives_after_the_stop_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process that had none of the run's chunks when it was told."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    run = run_named("late-1")
    home.adopt(asyncio.get_running_loop())
    inference.stop_here(run)
    await asyncio.sleep(0)
    async with inference._using(run, Memory()) as shared:
        stopped = shared.inference.throttle.stopped
    assert stopped
    assert stopped.reason is StopReason.INTERRUPTED
    await inference.unshare(run)
