"""A share of what a run may spend, that this process alone spends from: on record before a request relies on it.

A process that is killed has spent no more than its last record says. Records are numbered and never written over; the
one before the last is kept until the next, so that one that was cut short costs nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import uuid4

from tasks.core.checkpoint.layout import Storage, purse_key
from tasks.core.clock import Clock, Sleep
from tasks.core.costs.spending import PurseRecord

OFTEN_SECONDS, SELDOM_SECONDS = 1.0, 5.0  # between records
FIRST_RETRY_SECONDS, PATIENCE_SECONDS = 0.5, 30.0


class OwnPurse:
    """See budget.Purse. `cap`: what there is to spend."""

    def __init__(
        self,
        storage: Storage,
        job: str,
        attempt: str,
        cap: float,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        in_thread: Callable[..., Awaitable[object]] = asyncio.to_thread,
    ) -> None:
        self.allowed = 0.0
        self._storage, self._job, self._attempt, self._cap = storage, job, attempt, cap
        self._clock, self._sleep, self._in_thread = clock, sleep, in_thread
        self._writer, self._number = uuid4().hex[:12], 0
        self._spent = 0.0
        self._ahead = 0.0  # beyond what is likely, so that records stay few
        self._written_at = float("-inf")

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        """See Purse.allow."""
        if dollars > self._cap:
            return False
        since = self._clock() - self._written_at
        if since < OFTEN_SECONDS:
            self._ahead = 2 * self._ahead or likely / 4
        elif since > SELDOM_SECONDS:
            self._ahead /= 2
        await self._record(min(max(dollars, likely + self._ahead), self._cap), check)
        return True

    def settled(self, dollars: float, in_flight: int) -> None:
        self._spent = dollars

    async def close(self) -> None:
        """What was spent is known: nothing is in flight any more. Else the last record stands."""
        if self._number:
            with suppress(OSError):
                await self._write(PurseRecord(at_most=self._spent))

    async def _record(self, at_most: float, check: Callable[[], object]) -> None:
        first, pause = self._clock(), FIRST_RETRY_SECONDS
        while True:
            try:
                await self._write(PurseRecord(at_most=at_most))
                break
            except OSError:
                if self._clock() - first >= PATIENCE_SECONDS:
                    raise
            check()
            await self._sleep(pause)
            pause *= 2
        self.allowed, self._written_at = at_most, self._clock()

    async def _write(self, record: PurseRecord) -> None:
        await self._in_thread(self._put, self._number, record)
        self._number += 1

    def _put(self, number: int, record: PurseRecord) -> None:
        key = [purse_key(self._job, self._attempt, self._writer, n) for n in (number, number - 2)]
        self._storage.write(key[0], record.model_dump(mode="json", exclude_defaults=True))
        if number > 1:
            with suppress(OSError):
                self._storage.delete(key[1:])
