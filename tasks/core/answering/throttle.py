"""Decides when the next request may go out: one per process, for all chunks. Knows nothing of what is sent.

Six bounds hold at once: requests in flight, a pause the API asked for, the time between requests, requests and
tokens a minute, stop, and that answers can be kept.
Requests leave in the order they asked to.
"""

import asyncio
import time
from collections.abc import Callable

from tasks.core.answering.limit import Limit
from tasks.core.answering.minute import MINUTE_SECONDS, Minute, Slot
from tasks.core.answering.pace import Pace
from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.clock import Clock, Sleep
from tasks.core.config.limits import LimitsConfig
from tasks.core.errors import RunStopped, StopReason

LOOK_AGAIN_SECONDS = 5.0  # whether nobody else sends any more


class Throttle:
    """Hands out slots. Not thread-safe: all calls come from one event loop.

    `changed(limit)` is called when the number of requests allowed in flight changes.
    """

    def __init__(
        self,
        limits: LimitsConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        changed: Callable[[int], object] = lambda limit: None,
    ) -> None:
        self.in_flight = 0
        self._limit = Limit(limits.max_concurrent, lambda limit: self.changed(limit))
        self._clock, self._sleep, self.changed = clock, sleep, changed
        self._turn = asyncio.Lock()  # first come, first served
        self._moved = asyncio.Event()  # something the first in line waits for has changed
        self._paused_until = 0.0
        self._minute = Minute(limits.rpm, limits.tpm)
        self._most = limits.max_concurrent
        self._full_until = 0.0  # by the bounds of a minute, when somebody asked last
        self._pace = Pace()
        self._gap = 0.0
        self._taken_at = float("-inf")
        self._stop = asyncio.Event()
        self._stopped: RunStopped | None = None
        self._open = asyncio.Event()  # answers can be kept
        self._open.set()

    @property
    def limit(self) -> float:
        """How many requests may be in flight now, as a whole number below."""
        return self._limit.value

    @property
    def traffic(self) -> Traffic:
        """How it is now. Unlike all else here, it may be asked from any thread."""
        now, limit = self._clock(), int(self.limit)
        ends = {
            Hold.RATE_LIMIT: max(self._paused_until, self._taken_at + self._pace.gap_seconds),
            Hold.OWN_LIMIT: self._full_until,
        }
        hold = max(ends, key=ends.__getitem__)
        if not self._open.is_set():
            return Traffic(self.in_flight, limit, Hold.SAVING)
        if self._gap:
            return Traffic(self.in_flight, limit, Hold.OUTAGE, max(0.0, self._taken_at + self._gap - now))
        if ends[hold] > now:
            return Traffic(self.in_flight, limit, hold, ends[hold] - now)
        return Traffic(self.in_flight, limit, Hold.SLOWED if limit < self._most else None)

    @property
    def stopped(self) -> RunStopped | None:
        """Why nothing goes out any more."""
        return self._stopped

    def check(self) -> None:
        """Raises RunStopped once the run has been stopped."""
        if self._stopped:
            raise RunStopped(self._stopped.reason, self._stopped.message)

    async def acquire(self, tokens: int = 0) -> Slot:
        """Wait for leave to send a request of about `tokens` prompt tokens.

        Raises:
            RunStopped: nothing may be sent any more.
        """
        async with self._turn:
            while True:
                self._moved.clear()
                self.check()
                if (wait := self._seconds_to_wait(tokens)) == 0.0:
                    break
                await self._wait(self._moved, wait)
            return self._take(tokens)

    async def wait_to_send(self, slot: Slot) -> None:
        """Call it as the request goes out: since it got its slot, a pause may have begun, or the end of the run.

        Raises:
            RunStopped: nothing may be sent any more.
        """
        await self._open.wait()
        while (wait := self._paused_until - self._clock()) > 0.0:
            await self.back_off(wait)
            await self._open.wait()
        self.check()
        slot.sent_at = self._clock()

    def release(self, slot: Slot, tokens: int | None = None) -> None:
        """Give a slot back; `tokens` is what the request really took, where the answer says it."""
        self.in_flight -= 1
        if tokens is not None:
            self._minute.correct(slot, tokens)
        self._moved.set()

    def give_back(self, slot: Slot) -> None:
        """Nothing was sent with it."""
        self._minute.take_out(slot)
        self.release(slot)

    async def quiet(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait until nobody else has sent for a minute, or wants to; or until `enough`.

        Raises:
            RunStopped: nothing may be sent any more.
        """
        while not enough():
            others = self.in_flight > 0 or self._turn.locked()
            wait = self._taken_at + MINUTE_SECONDS - self._clock()
            if not others and wait <= 0.0:
                return
            await self.back_off(max(wait, LOOK_AGAIN_SECONDS) if not others else LOOK_AGAIN_SECONDS)

    def bound(self, ceiling: float, gap_seconds: float) -> None:
        """No more in flight than `ceiling`, which may be less than the limit allows, and so much time between them."""
        self._gap = gap_seconds
        self._limit.bound(ceiling)
        self._moved.set()

    def answered(self, slot: Slot) -> None:
        """The API gave an answer: grow, if requests wait for the limit alone."""
        now = self._clock()
        self._pace.answered(now - slot.sent_at)
        in_use = self.in_flight >= int(self.limit) and self._turn.locked()
        self._limit.answered(now, wanted=in_use and not self._pace.gap_seconds)

    def rate_limited(self, slot: Slot, retry_delay_seconds: float | None) -> None:
        """The API said "slow down": obey its delay, and shrink once for all requests of the same burst."""
        now = self._clock()
        if retry_delay_seconds is not None:
            self._paused_until = max(self._paused_until, now + retry_delay_seconds)
        if self._limit.refused(now, slot.sent_at):
            self._pace.refused(now, retry_delay_seconds or 0.0, alone=int(self.limit) == 1)

    async def back_off(self, seconds: float) -> None:
        """Wait before asking for a slot again.

        Raises:
            RunStopped: the run was stopped meanwhile.
        """
        await self._wait(self._stop, seconds)
        self.check()

    def stop(self, reason: StopReason, message: str) -> None:
        """Let no further request out. The first reason counts."""
        self._stopped = self._stopped or RunStopped(reason, message)
        self._moved.set()
        self._stop.set()
        self._open.set()

    def hold(self, back: bool) -> None:
        """Let nothing out while `back`: what has been answered cannot be kept at the moment."""
        if back and not self._stopped:
            self._open.clear()
        else:
            self._open.set()
            self._moved.set()

    def _seconds_to_wait(self, tokens: int) -> float:
        """0 when a request may go now; infinity when only a returned slot can help."""
        now = self._clock()
        if self.in_flight >= int(self.limit) or not self._open.is_set():
            return float("inf")
        gap = max(self._gap, self._pace.gap_seconds)
        full = self._minute.wait_seconds(now, tokens)
        self._full_until = now + full
        return max(0.0, self._paused_until - now, self._taken_at + gap - now, full)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until `event`, for `seconds` at most."""
        if seconds == float("inf"):
            await event.wait()
            return
        tasks = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._sleep(seconds))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _take(self, tokens: int) -> Slot:
        slot = Slot(self._clock(), tokens)
        self._taken_at = slot.sent_at
        self.in_flight += 1
        self._minute.add(slot)
        return slot
