"""The manners of a run under pressure, on a clock that tests turn by hand."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.core.answering.minute import MINUTE_SECONDS, Slot
from tasks.core.answering.throttle import Throttle
from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.config.limits import LimitsConfig
from tasks.core.errors import RunStopped, StopReason

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a machine may be busy


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

    def answer(self) -> None:
        self.throttle.answered(Slot(self.clock.now, 0))


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
        bench.answer()
    assert bench.throttle.limit == 5
    waiting = await bench.ask(300)
    for _ in range(200):
        bench.answer()
        bench.throttle.release(bench.slots.pop(0))
        await settle()
        assert bench.throttle.in_flight <= bench.throttle.limit <= 10
    assert bench.throttle.limit == 10
    for task in waiting:
        task.cancel()


async def test_a_ceiling_holds_the_limit_down_and_lets_it_up_again() -> None:
    """At once down; up with the answers, for each round trip twice as many."""
    bench = Bench(max_concurrent=8)
    waiting = await bench.ask(100)
    bench.throttle.bound(2.0, 0.0)
    assert bench.throttle.limit == 2
    for ceiling, expected in ((2.0, 2), (3.5, 3.5), (8.0, 8)):
        bench.throttle.bound(ceiling, 0.0)
        for _ in range(8):
            bench.answer()
        assert bench.throttle.limit == expected
    bench.throttle.bound(0.0, 0.0)
    assert bench.throttle.limit == 1
    for task in waiting:
        task.cancel()


async def test_a_gap_lies_between_requests_until_it_is_taken_back() -> None:
    """Who waits for it goes at once when answers come again."""
    bench = Bench(max_concurrent=8)
    bench.throttle.bound(3.0, 10.0)
    waiting = await bench.ask(8)
    assert len(bench.order) == 1
    await bench.clock.advance(10)
    assert len(bench.order) == 2
    bench.throttle.bound(8.0, 0.0)
    await settle()
    assert len(bench.order) == 3
    for task in waiting:
        task.cancel()


@pytest.mark.parametrize("tell_delay", [True, False])
async def test_a_rate_below_one_in_flight_is_found_and_kept(tell_delay: bool) -> None:
    """One answer a second, at once: few of the requests are refused, and most of the rate is used."""
    bench = Bench(max_concurrent=10)
    tokens, filled_at, refused, answered = 1.0, 0.0, 0, 0

    async def row() -> None:
        nonlocal tokens, filled_at, refused, answered
        while True:
            slot = await bench.throttle.acquire()
            await bench.clock.sleep(0.05)
            tokens, filled_at = min(1.0, tokens + bench.clock.now - filled_at), bench.clock.now
            if tokens >= 1:
                tokens -= 1
                answered += 1
                bench.throttle.answered(slot)
                bench.throttle.release(slot)
                return
            refused += 1
            bench.throttle.rate_limited(slot, 1 - tokens if tell_delay else None)
            bench.throttle.release(slot)

    rows = [asyncio.create_task(row()) for _ in range(200)]
    await bench.clock.advance(100, step=0.05)
    assert answered >= 60
    assert refused < 40
    for task in rows:
        task.cancel()


async def test_who_waits_for_quiet_goes_when_nobody_has_sent_for_a_minute_or_wants_to() -> None:
    """A request in flight, one in line, one just gone: each is somebody else."""
    bench = Bench(max_concurrent=1)
    asked = await bench.ask(2)
    enough = False
    quiet = asyncio.create_task(bench.throttle.quiet())
    stopped_waiting = asyncio.create_task(bench.throttle.quiet(lambda: enough))
    await bench.clock.advance(2 * MINUTE_SECONDS, step=5)
    assert not quiet.done()
    bench.throttle.release(bench.slots[0])
    await bench.clock.advance(MINUTE_SECONDS, step=5)
    assert not quiet.done()
    bench.throttle.release(bench.slots[1])
    assert not stopped_waiting.done()
    enough = True
    await bench.clock.advance(10, step=5)
    assert stopped_waiting.done()
    await asyncio.gather(quiet, *asked)


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


async def test_a_pause_that_begins_after_a_slot_was_given_still_holds_its_request_back() -> None:
    """Between slot and sending an image is read: the API may have said "slow down" meanwhile."""
    bench = Bench()
    await bench.ask(2)
    refused, ready = bench.slots
    bench.refuse(refused, 26.0)
    leaving = asyncio.create_task(bench.throttle.wait_to_send(ready))
    await bench.clock.advance(25.9)
    assert not leaving.done()
    await bench.clock.advance(0.2)
    assert leaving.done()


async def test_a_longer_delay_said_during_a_pause_counts() -> None:
    """A shorter one does not cut the pause."""
    bench = Bench()
    await bench.ask(6)
    bench.refuse(bench.slots[0], 10.0)
    bench.refuse(bench.slots[1], 20.0)
    bench.refuse(bench.slots[2], 5.0)
    await bench.clock.advance(19.9)
    assert len(bench.order) == 4
    await bench.clock.advance(0.2)
    assert len(bench.order) == 5  # the limit has shrunk to 2, and 1 is still in flight


async def test_a_request_that_is_ready_does_not_leave_once_the_run_has_been_stopped() -> None:
    """Neither at once nor out of a pause."""
    bench = Bench()
    await bench.ask(2)
    paused, ready = bench.slots
    bench.throttle.rate_limited(ready, 3600)
    leaving = asyncio.create_task(bench.throttle.wait_to_send(paused))
    await settle()
    bench.throttle.stop(StopReason.INTERRUPTED, "Ctrl+C")
    for attempt in (leaving, bench.throttle.wait_to_send(ready)):
        with pytest.raises(RunStopped, match=r"Ctrl\+C"):
            await attempt


async def test_429s_of_a_second_burst_shrink_again_but_never_below_one() -> None:
    """A request always goes out: a limit of nothing would hang the run."""
    bench = Bench(max_concurrent=4)
    for _ in range(6):
        await bench.clock.advance(1)
        asking = asyncio.create_task(bench.request(0))
        await settle()
        bench.refuse(bench.slots.pop())
        await asking
    assert bench.limits_seen == [2, 1]
    assert bench.throttle.limit == 1.0


async def test_a_429_among_many_answers_shrinks_little() -> None:
    """What was answered since the last burst says how far the limit is above the quota."""
    bench = Bench(max_concurrent=100)
    await bench.ask(100)
    for _ in range(99):
        bench.answer()
    bench.refuse(bench.slots[0])
    assert bench.limits_seen == [90]


async def test_a_slow_request_does_not_keep_answers_of_others_from_being_counted() -> None:
    """Tokens are corrected for every request of the last minute, in whatever order they end and leave."""
    bench = Bench(max_concurrent=3, tpm=100)
    await bench.ask(2, tokens=45)
    first, second = bench.slots
    await bench.clock.advance(10)
    await bench.throttle.wait_to_send(first)
    bench.throttle.release(second, 5)
    asking = asyncio.create_task(bench.request(2, 50))
    await settle()
    assert asking.done()


async def test_an_answer_that_comes_after_its_minute_changes_nothing() -> None:
    """Its request has left the window: what it took is no longer anybody's share."""
    bench = Bench(max_concurrent=4, tpm=100)
    await bench.ask(1, tokens=50)
    await bench.clock.advance(61)
    bench.throttle.release(bench.slots.pop(), 90)
    for tokens in (60, 40):
        asking = asyncio.create_task(bench.request(0, tokens))
        await settle()
        assert asking.done()


REQUESTS = st.lists(
    st.tuples(st.integers(1, 60), st.integers(0, 200), st.integers(0, 200)), min_size=1, max_size=25
)  # tokens, then quarters of a second until it leaves, and until its answer


@settings(PATIENT, max_examples=40)
@given(REQUESTS, st.integers(1, 8), st.integers(1, 6), st.integers(20, 100))
async def test_quotas_are_kept_over_any_minute_as_requests_really_left(
    requests: list[tuple[int, int, int]], max_concurrent: int, rpm: int, tpm: int
) -> None:
    """However long their images take to read, and in the order in which they asked."""
    bench = Bench(max_concurrent, rpm, tpm)
    left: list[tuple[float, int]] = []
    order: list[int] = []

    async def one(number: int, tokens: int, reading: int, answering: int) -> None:
        slot = await bench.throttle.acquire(tokens)
        order.append(number)
        await bench.clock.sleep(reading / 4)
        await bench.throttle.wait_to_send(slot)
        left.append((bench.clock.now, tokens))
        await bench.clock.sleep(answering / 4)
        bench.throttle.release(slot, tokens)

    tasks = [asyncio.create_task(one(n, *request)) for n, request in enumerate(requests)]
    await settle()
    while not all(task.done() for task in tasks):
        assert bench.clock.now < 60 * 60
        await bench.clock.advance(10, step=1)
    assert order == sorted(order)
    for start, _ in left:
        minute = [tokens for at, tokens in left if start <= at < start + 60]
        assert len(minute) <= rpm
        assert sum(minute) <= tpm or len(minute) == 1


async def test_traffic_says_what_holds_requests_back() -> None:
    """A pause that the API has asked for, bounds of the user's own, an outage; and when it is over."""
    bench = Bench(max_concurrent=2, rpm=3)
    throttle, clock = bench.throttle, bench.clock
    slots = [await throttle.acquire() for _ in range(2)]
    assert throttle.traffic == Traffic(2, 2)
    throttle.rate_limited(slots[0], 26.0)
    assert throttle.traffic == Traffic(2, 1, Hold.RATE_LIMIT, 26.0)
    for slot in slots:
        throttle.release(slot)
    clock.now = 27.0
    throttle.release(await throttle.acquire())
    waiting = asyncio.ensure_future(throttle.acquire())
    await settle()
    assert throttle.traffic == Traffic(0, 1, Hold.OWN_LIMIT, 33.0)
    throttle.bound(1, 5.0)
    assert throttle.traffic == Traffic(0, 1, Hold.OUTAGE, 5.0)
    throttle.bound(2, 0.0)
    throttle.hold(True)
    assert throttle.traffic == Traffic(0, 1, Hold.SAVING)
    throttle.hold(False)
    await clock.advance(34.0)
    await waiting
    assert throttle.traffic == Traffic(1, 1, Hold.SLOWED)
