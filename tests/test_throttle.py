"""The manners of a run under pressure, on a clock that tests turn by hand."""

import asyncio

import pytest

from tasks.core.config import LimitsConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.throttle import CALM_SECONDS, Slot, Throttle


class Clock:
    """Time that passes only when a test says so; sleepers wake in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    async def advance(self, seconds: float, step: float = 0.25) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + step, end)
            for due, future in self._sleepers:
                if due <= self.now and not future.done():
                    future.set_result(None)
            await settle()


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


class Bench:
    """A throttle, its clock, and requests that wait for it."""

    def __init__(self, max_concurrent: int = 4, rpm: int | None = None, tpm: int | None = None) -> None:
        self.clock = Clock()
        limits = LimitsConfig(max_concurrent=max_concurrent, timeout_seconds=1, rpm=rpm, tpm=tpm)
        self.limits_seen: list[int] = []
        self.throttle = Throttle(limits, clock=self.clock, sleep=self.clock.sleep, changed=self.limits_seen.append)
        self.slots: list[Slot] = []
        self.order: list[int] = []

    async def request(self, number: int, tokens: int = 0) -> None:
        self.slots.append(await self.throttle.acquire(tokens))
        self.order.append(number)

    async def ask(self, count: int, tokens: int = 0) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.request(n, tokens)) for n in range(count)]
        await settle()
        return tasks

    def refuse(self, slot: Slot, delay: float | None = None) -> None:
        self.throttle.rate_limited(slot, delay)
        self.throttle.release(slot)


async def test_no_more_than_max_concurrent_are_in_flight_first_come_first_served() -> None:
    """A slot given back goes to who has waited longest."""
    bench = Bench(max_concurrent=3)
    tasks = await bench.ask(8)
    assert bench.order == [0, 1, 2]
    for expected in range(3, 8):
        bench.throttle.release(bench.slots.pop(0))
        await settle()
        assert bench.order[-1] == expected
        assert bench.throttle.in_flight == 3
    await asyncio.gather(*tasks)


async def test_a_retry_delay_is_obeyed_by_all_and_nothing_waits_longer() -> None:
    """26 s said to one request hold back every other, for 26 s."""
    bench = Bench()
    await bench.ask(6)
    bench.refuse(bench.slots.pop(0), 26.0)
    for slot in bench.slots:
        bench.throttle.release(slot)
    bench.slots.clear()
    await bench.clock.advance(25.9)
    assert bench.order == [0, 1, 2, 3]
    await bench.clock.advance(0.2)
    assert bench.order == [0, 1, 2, 3, 4, 5]


async def test_a_burst_of_429s_shrinks_the_limit_once() -> None:
    """Ten refusals of requests sent before the first are one message, not ten."""
    bench = Bench(max_concurrent=10)
    await bench.ask(10)
    await bench.clock.advance(1)
    for slot in bench.slots:
        bench.refuse(slot)
    assert bench.limits_seen == [5]


async def test_the_limit_grows_only_while_it_is_in_use_and_never_above_the_maximum() -> None:
    """Answers while slots are free say nothing about the limit."""
    bench = Bench(max_concurrent=10)
    await bench.ask(10)
    await bench.clock.advance(1)
    for slot in bench.slots:
        bench.refuse(slot)
    bench.slots.clear()
    for _ in range(50):
        bench.throttle.answered()
    assert bench.throttle.limit == 5
    waiting = await bench.ask(300)
    for _ in range(200):
        bench.throttle.answered()
        bench.throttle.release(bench.slots.pop(0))
        await settle()
        assert bench.throttle.in_flight <= bench.throttle.limit <= 10
    assert bench.throttle.limit == 10
    for task in waiting:
        task.cancel()


async def test_a_server_error_pauses_growth() -> None:
    """A server in trouble is no moment to ask for more."""
    bench = Bench(max_concurrent=8)
    await bench.ask(8)
    await bench.clock.advance(1)
    for slot in bench.slots:
        bench.refuse(slot)
    bench.slots.clear()
    waiting = await bench.ask(50)
    bench.throttle.failed()
    bench.throttle.answered()
    assert bench.throttle.limit == 4
    await bench.clock.advance(CALM_SECONDS)
    bench.throttle.answered()
    assert bench.throttle.limit > 4
    for task in waiting:
        task.cancel()


async def test_rpm_is_kept_over_any_minute() -> None:
    """Not only over minutes that start on the minute."""
    bench = Bench(max_concurrent=1000, rpm=30)
    sent: list[float] = []

    async def one() -> None:
        slot = await bench.throttle.acquire()
        sent.append(bench.clock.now)
        await bench.clock.sleep(0.5)
        bench.throttle.release(slot)

    tasks = [asyncio.create_task(one()) for _ in range(100)]
    await settle()
    await bench.clock.advance(250, step=0.5)
    await asyncio.gather(*tasks)
    for start in sent:
        assert sum(start <= at < start + 60 for at in sent) <= 30
    assert sent[-1] <= 3 * 60 + 1


async def test_tpm_is_kept_with_what_requests_really_took() -> None:
    """An estimate is corrected by the answer: here the requests take twice of what was thought."""
    bench = Bench(max_concurrent=1, tpm=100)
    used: list[float] = []

    async def one() -> None:
        slot = await bench.throttle.acquire(10)
        used.append(bench.clock.now)
        bench.throttle.release(slot, 20)

    tasks = [asyncio.create_task(one()) for _ in range(12)]
    await settle()
    await bench.clock.advance(200)
    await asyncio.gather(*tasks)
    for start in used:
        assert sum(20 for at in used if start <= at < start + 60) <= 100


async def test_a_request_larger_than_tpm_still_goes_out_alone() -> None:
    """A limit that one request exceeds must not hang the run."""
    bench = Bench(tpm=100)
    await bench.ask(1, tokens=1000)
    assert bench.order == [0]


async def test_stop_lets_nothing_more_out_and_wakes_everybody() -> None:
    """Whoever waits for a slot, for a pause or in a back-off hears of it at once."""
    bench = Bench(max_concurrent=1)
    tasks = await bench.ask(3)
    backing_off = asyncio.create_task(bench.throttle.back_off(3600))
    await settle()
    bench.throttle.stop(StopReason.INTERRUPTED, "first")
    bench.throttle.stop(StopReason.API_DOWN, "second")
    outcomes = await asyncio.gather(*tasks[1:], backing_off, return_exceptions=True)
    assert all(isinstance(o, RunStopped) and o.reason is StopReason.INTERRUPTED for o in outcomes)
    with pytest.raises(RunStopped, match="first"):
        await bench.throttle.acquire()


async def test_a_waiting_request_that_is_cancelled_leaves_no_trace() -> None:
    """The next in line gets the slot."""
    bench = Bench(max_concurrent=1)
    first, second, third = await bench.ask(3)
    second.cancel()
    await settle()
    bench.throttle.release(bench.slots.pop())
    await settle()
    assert third.done()
    assert bench.throttle.in_flight == 1
    assert first.done()
