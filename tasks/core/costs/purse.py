"""A share of what a run may spend, that this process alone spends from: on record before a request relies on it.

A process that is killed has spent no more than its last record says.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tasks.core.clock import Clock, Sleep
from tasks.core.costs.budget import BudgetSpent
from tasks.core.costs.purse_records import PurseRecord, PurseRecords

OFTEN_SECONDS, SELDOM_SECONDS = 1.0, 5.0  # between records
FIRST_RETRY_SECONDS, PATIENCE_SECONDS = 0.5, 30.0


class OwnPurse:
    """See budget.Purse. `cap`: what there is to spend."""

    def __init__(
        self, records: PurseRecords, cap: float, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.allowed = 0.0
        self._records, self._cap, self._clock, self._sleep = records, cap, clock, sleep
        self._spent, self._in_flight = 0.0, 0
        self._ahead = 0.0  # beyond what is likely, so that records stay few
        self._written_at = float("-inf")

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        """See Purse.allow."""
        if dollars > self._cap:
            if not self._in_flight:
                raise BudgetSpent
            return False
        since = self._clock() - self._written_at
        if since < OFTEN_SECONDS:
            self._ahead = 2 * self._ahead or likely / 4
        elif since > SELDOM_SECONDS:
            self._ahead /= 2
        at_most = min(max(dollars, likely + self._ahead), self._cap)
        record = PurseRecord(at_most=at_most)
        await patiently(lambda: self._records.write(lambda: record), check, self._clock, self._sleep)
        self.allowed, self._written_at = at_most, self._clock()
        return True

    def changed(self, spent: float, reserved: float, in_flight: int) -> None:
        self._spent, self._in_flight = spent, in_flight

    async def close(self) -> None:
        """What was spent is known: nothing is in flight any more. Where that cannot be kept, the last record stands."""
        if self.allowed:
            with suppress(OSError):
                await self._records.write(lambda: PurseRecord(at_most=self._spent))


async def patiently(
    write: Callable[[], Awaitable[object]], check: Callable[[], object], clock: Clock, sleep: Sleep
) -> None:
    """A storage that fails for a while is waited for, until `check` raises.

    Raises:
        OSError: it has failed for too long.
    """
    first, pause = clock(), FIRST_RETRY_SECONDS
    while True:
        try:
            await write()
            return
        except OSError:
            if clock() - first >= PATIENCE_SECONDS:
                raise
        check()
        await sleep(pause)
        pause *= 2
