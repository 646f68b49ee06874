"""Tests of the task runner against a real Prefect server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect import task as prefect_task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import TaskRunSort
from prefect.context import FlowRunContext

from flows.runners.event_loop import EventLoopTaskRunner

pytestmark = pytest.mark.usefixtures("prefect", "no_heartbeats")


_SORT = TaskRunSort.END_TIME_DESC


class Watch:
    """What tasks saw: the loops they ran on, their order, and how many ran at once."""

    def __init__(self) -> None:
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self.started: list[int] = []
        self.running = self.most = 0


watch = Watch()


@pytest.fixture(autouse=True)
def fresh_watch() -> None:
    watch.__init__()  # type: ignore[misc]


def task(function: Callable[..., Any]) -> Any:
    """A Prefect task; Prefect's own types take what an async one returns for a coroutine."""
    return prefect_task(function)


def on_loop(max_workers: int | None = None, **settings: Any) -> Any:
    """The runner under test; the type of Prefect's parameter is invariant."""
    return EventLoopTaskRunner(max_workers, **settings)


@task
async def double(number: int, seconds: float = 0.02) -> int:
    watch.loops.add(asyncio.get_running_loop())
    watch.started.append(number)
    watch.running += 1
    watch.most = max(watch.most, watch.running)
    await asyncio.sleep(seconds)
    watch.running -= 1
    return number * 2


@task
async def only_odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


@task
async def save_when_cancelled(number: int, folder: Path) -> None:
    watch.started.append(number)
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.1)
        (folder / str(number)).write_text("saved")
        raise


def runner() -> EventLoopTaskRunner:
    context = FlowRunContext.get()
    assert context
    assert isinstance(context.task_runner, EventLoopTaskRunner)
    return context.task_runner


def task_states(flow_run_id: UUID | None, count: int) -> list[str]:
    """States on the server once `count` task runs have ended there."""
    assert flow_run_id
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    for _ in range(100):
        with get_client(sync_client=True) as client:
            states = [run.state for run in client.read_task_runs(flow_run_filter=only, sort=_SORT, limit=99)]
        if len([s for s in states if s and s.is_final()]) == count:
            break
        time.sleep(0.1)
    return [state.type.value for state in states if state]


def test_mapped_tasks_share_one_loop_in_order_within_the_limit() -> None:
    """40 tasks: one loop, started first in first out, three at once, results in order."""

    @flow(task_runner=on_loop(max_workers=3))
    def numbers() -> list[int]:
        results: list[int] = double.map(range(40)).result()
        return results

    assert numbers() == [2 * number for number in range(40)]
    assert len(watch.loops) == 1
    assert watch.started == list(range(40))
    assert watch.most == 3


def test_a_flow_may_set_the_limit_before_its_first_task() -> None:
    """The limit that its parameters imply is known in the flow only."""

    @flow(task_runner=on_loop())
    def numbers() -> asyncio.AbstractEventLoop:
        runner().max_workers = 2
        double.map(range(10)).wait()
        return runner().loop

    assert {numbers()} == watch.loops
    assert watch.most == 2


def test_a_limit_below_one_is_refused() -> None:
    """Nothing would ever start."""
    with pytest.raises(ValueError, match="max_workers=0"):
        EventLoopTaskRunner(max_workers=0)


def test_a_failed_task_is_a_state_and_leaves_the_others_alone() -> None:
    """Waiting raises nothing; every task has its own end."""

    @flow(task_runner=on_loop(max_workers=2))
    def odd() -> list[str]:
        futures = only_odd.map(range(4))
        futures.wait()
        return [future.state.type.value for future in futures]

    assert odd() == ["FAILED", "COMPLETED", "FAILED", "COMPLETED"]


def test_exit_from_a_task_does_not_end_the_loop() -> None:
    """SystemExit goes through asyncio and would leave all other tasks waiting for ever."""

    @task
    async def leave(number: int) -> int:
        if number == 0:
            raise SystemExit(3)
        return number

    @flow(task_runner=on_loop(max_workers=1))
    def leaving() -> list[str]:
        futures = leave.map(range(2))
        futures.wait()
        return [future.state.type.value for future in futures]

    assert leaving() == ["CRASHED", "COMPLETED"]


def test_cancelled_tasks_save_and_end_and_the_waiting_never_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled from another thread: every future ends, each running task writes, no traceback."""

    @flow(task_runner=on_loop(max_workers=3))
    def interrupted() -> tuple[list[str], UUID]:
        context = FlowRunContext.get()
        assert context
        assert context.flow_run
        double.submit(7).wait()
        futures = save_when_cancelled.map(range(50), folder=tmp_path)
        threading.Timer(1, runner().cancel_all).start()
        futures.wait()
        late = save_when_cancelled.submit(99, tmp_path)
        late.wait()
        return [future.state.type.value for future in [*futures, late]], context.flow_run.id

    # At its logger: Prefect's console handler keeps the stderr of its import, which pytest has replaced.
    logging.getLogger("prefect.task_runs").addHandler(caplog.handler)
    states, flow_run_id = interrupted()
    assert states == ["CANCELLED"] * 51
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2"]
    assert watch.started == [7, 0, 1, 2]
    assert sorted(task_states(flow_run_id, 4)) == ["COMPLETED", "CRASHED", "CRASHED", "CRASHED"]
    assert "Finished in state Completed" in caplog.text  # it would have seen the lines it must not see
    assert "Traceback" not in caplog.text
    assert "Crash" not in caplog.text


def test_an_interrupted_flow_lets_its_tasks_save(tmp_path: Path) -> None:
    """Ctrl+C in the flow: its running tasks have written when the interrupt is seen outside."""

    @flow(task_runner=on_loop(max_workers=2))
    def interrupted() -> None:
        save_when_cancelled.map(range(5), folder=tmp_path)
        time.sleep(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]


def test_a_task_that_ignores_its_cancellation_is_left_behind() -> None:
    """The flow ends after the grace period, and its future with it."""
    futures: list[Any] = []

    @task
    async def stubborn() -> None:
        while not released.is_set():
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue

    released = threading.Event()

    @flow(task_runner=on_loop(grace_seconds=0.3))
    def interrupted() -> None:
        futures.append(stubborn.submit())
        time.sleep(0.5)
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - start < 5
    futures[0].wait()
    assert futures[0].state.is_cancelled()
    released.set()


def test_every_future_that_a_flow_leaves_behind_ends() -> None:
    """Nobody who waits for one is left waiting."""
    futures: list[Any] = []

    @flow(task_runner=on_loop(max_workers=1))
    def returns_early() -> None:
        futures.extend(double.map([1, 2], seconds=0.5))
        time.sleep(0.2)

    returns_early()
    for future in futures:  # without it `state` asks the server, which may not know yet
        future.wait(timeout=10)
    assert all(future.state.is_final() for future in futures)


def test_a_task_may_submit_and_await_another() -> None:
    """A submit from the loop's own thread, and a future as an argument, do not block the loop."""

    @task
    async def parent() -> Any:
        child = double.submit(4)
        await asyncio.wait([asyncio.wrap_future(child.wrapped_future)])
        return child.result()

    @flow(task_runner=on_loop())
    def nested() -> Any:
        eight = parent.submit()
        sixteen = double.submit(eight)
        return double.submit(sixteen, wait_for=[eight]).result()

    assert nested() == 32


def test_a_synchronous_task_runs_in_a_thread_of_its_own() -> None:
    """It neither blocks the loop nor runs in the flow's thread."""

    @task
    def thread(number: int) -> str:
        return f"{number} {threading.current_thread().name}"

    @flow(task_runner=on_loop(max_workers=2))
    def threads() -> list[str]:
        names: list[str] = thread.map(range(3)).result()
        return names

    names = threads()
    assert [name.split()[0] for name in names] == ["0", "1", "2"]
    assert all("asyncio" in name for name in names)


def test_a_retried_flow_gets_a_runner_of_its_own() -> None:
    """A second attempt of the same flow run maps its tasks again, on a new loop."""
    attempts: list[asyncio.AbstractEventLoop] = []

    @flow(task_runner=on_loop(max_workers=2), retries=1)
    def twice() -> list[int]:
        attempts.append(runner().loop)
        results: list[int] = double.map(range(3)).result()
        if len(attempts) == 1:
            raise RuntimeError("once more")
        return results

    assert twice() == [0, 2, 4]
    assert len(set(attempts)) == 2


def test_a_tag_limit_on_the_server_still_holds() -> None:
    """Task runs with a tag that has one slot run one after the other."""
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit(tag="one-at-a-time", concurrency_limit=1)

    @flow(task_runner=on_loop(max_workers=3))
    def numbers() -> None:
        tagged = double.with_options(tags=["one-at-a-time"])
        tagged.map(range(2), seconds=0.3).wait()

    numbers()
    assert len(watch.started) == 2
    assert watch.most == 1
