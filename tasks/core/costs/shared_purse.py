"""The purse of one of several processes: what it may spend, the treasurer of the run grants, by records on storage."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from tasks.core.clock import Clock, Sleep
from tasks.core.costs.budget import BudgetSpent
from tasks.core.costs.purse import patiently
from tasks.core.costs.purse_records import PurseRecord, PurseRecords

LOOK_SECONDS = 0.5  # whether there is a grant
IDLE_SECONDS = 2.0  # without a request, before what is not spent is given back
BEAT_SECONDS = 30.0  # between signs of life


class SharedPurse:
    """See budget.Purse. What it has asked for and what it gives back is on record before it counts on less."""

    def __init__(self, records: PurseRecords, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep) -> None:
        self.allowed = 0.0
        self._records, self._clock, self._sleep = records, clock, sleep
        self._spent = self._reserved = 0.0
        self._in_flight = self._heard = self._settled = 0
        self._asking = False
        self._written_at = float("-inf")
        self._idle: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        """See Purse.allow."""
        self._asking = True
        try:
            return await self._ask(dollars, likely, check)
        finally:
            self._asking = False

    def changed(self, spent: float, reserved: float, in_flight: int) -> None:
        self._settled += in_flight < self._in_flight
        self._spent, self._reserved, self._in_flight = spent, reserved, in_flight
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if not in_flight:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._give_back)
        elif self._clock() - self._written_at > BEAT_SECONDS and not self._asking:
            self._tell()

    async def close(self) -> None:
        if self._idle:
            self._idle.cancel()
        if self._heard:
            self.allowed = self._spent
            await self._told()

    async def _ask(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        settled, self.allowed = self._settled, self._spent + self._reserved
        record = PurseRecord(at_most=self.allowed, wants=dollars, likely=likely, busy=self._in_flight)
        await patiently(lambda: self._write(record), check, self._clock, self._sleep)
        while True:
            check()
            await self._sleep(LOOK_SECONDS)
            if grant := await self._records.grant(self._heard + 1):
                self._heard += 1
                if not grant.over:
                    break
                if not self._in_flight:
                    raise BudgetSpent
                return False
            if settled != self._settled:  # it may do with less now
                return False
        taken_up = PurseRecord(at_most=grant.at_most, busy=self._in_flight + 1)
        await patiently(lambda: self._write(taken_up), check, self._clock, self._sleep)
        self.allowed = grant.at_most
        return True

    def _give_back(self) -> None:
        self._idle = None
        if not self._asking:
            self.allowed = self._spent
            self._tell()

    def _tell(self) -> None:
        self._written_at = self._clock()
        task = asyncio.get_running_loop().create_task(self._told())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self) -> None:
        def record() -> PurseRecord | None:
            """As it stands when it is its turn: what is asked or taken up meanwhile says it as well."""
            now = PurseRecord(at_most=self.allowed, busy=self._in_flight, heard=self._heard)
            return None if self._asking else now

        with suppress(OSError):  # then the last record stands, which allows as much or more
            await self._records.write(record)

    async def _write(self, record: PurseRecord) -> None:
        self._written_at = self._clock()
        await self._records.write(lambda: record.model_copy(update={"heard": self._heard}))
