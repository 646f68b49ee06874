"""Lets a request out only where its worst is covered by what may be spent. Knows no price, no storage and no run.

Dollars go out of a purse in three steps: reserved at their worst, then settled at what they were, or at their worst
where nobody says. What is settled and reserved is never more than the purse allows.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol


class BudgetSpent(Exception):
    """Nothing is on its way any more, and what is left does not cover the next request."""


class Purse(Protocol):
    """How much this process may spend. `allowed`: as much of it as is on record already."""

    allowed: float

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        """Make `allowed` at least `dollars`, better `likely`; False where it is to be asked again once something moved.

        `check` raises where nobody waits for it any more.

        Raises:
            BudgetSpent: there is no more, and nothing is in flight.
            OSError: it cannot be put on record.
        """

    def changed(self, spent: float, reserved: float, in_flight: int) -> None:
        """How it stands now, in dollars and requests."""

    async def close(self) -> None:
        """Nothing more is spent."""


class Whole:
    """A purse all of which is allowed from the start: what goes out of it is on record elsewhere."""

    def __init__(self, dollars: float) -> None:
        self.allowed, self._in_flight = dollars, 0

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        """See Purse.allow."""
        if not self._in_flight:
            raise BudgetSpent
        return False

    def changed(self, spent: float, reserved: float, in_flight: int) -> None:
        self._in_flight = in_flight

    async def close(self) -> None: ...


class Budget:
    """Of one run in one process. Lives on one event loop. First come, first served.

    `at_once`: requests in flight at most. `spent`: settled so far; `unsure` of it may not have been billed.
    """

    def __init__(self, purse: Purse, at_once: int) -> None:
        self.spent = self.reserved = self.unsure = 0.0
        self.in_flight = 0
        self._purse, self._at_once = purse, at_once
        self._dearest = 0.0
        self._beyond = 1.0  # how far the worst was exceeded, at most: an estimate that was wrong once may be again
        self._has_ended = False
        self._turn = asyncio.Lock()
        self._moved = asyncio.Event()

    async def reserve(self, worst: float, check: Callable[[], object]) -> float:
        """Wait until `worst` dollars are covered; returns what is reserved. `check` raises where nobody waits any more.

        Raises:
            BudgetSpent: they will not be, or not before `end`.
            OSError: see Purse.allow.
        """
        async with self._turn:
            while True:
                self._moved.clear()
                check()
                dollars = worst * self._beyond
                wanted = self.spent + self.reserved + dollars
                if wanted <= self._purse.allowed:
                    break
                if self._has_ended:
                    raise BudgetSpent
                if not await self._purse.allow(wanted, self._likely(dollars), check):
                    await self._moved.wait()
            self.reserved += dollars
            self.in_flight += 1
            self._changed()
            return dollars

    def enlarge(self, worst: float) -> float | None:
        """The same for more of what is in flight, without waiting; None: it is not covered, or others wait."""
        dollars = worst * self._beyond
        if self._turn.locked() or self.spent + self.reserved + dollars > self._purse.allowed:
            return None
        self.reserved += dollars
        self._changed()
        return dollars

    def settle(self, reserved: float, dollars: float | None, unsure: float = 0.0) -> None:
        """`dollars`: what the request took; None: nobody says, so it counts as reserved. `unsure`: as much of them."""
        self.reserved -= reserved
        self.in_flight -= 1
        self.spent += reserved if dollars is None else dollars
        self.unsure += reserved if dollars is None else unsure
        if dollars is not None and dollars > reserved > 0:
            self._beyond *= dollars / reserved
        if not self.in_flight:
            self.reserved = 0.0  # no rest of rounding
        self._changed()
        self.wake()

    async def close(self) -> None:
        await self._purse.close()

    def end(self) -> None:
        """Nothing that is in flight is going to be settled: whoever waits for that waits in vain."""
        self._has_ended = True
        self.wake()

    def wake(self) -> None:
        """Whoever waits looks again."""
        self._moved.set()

    def _changed(self) -> None:
        self._purse.changed(self.spent, self.reserved, self.in_flight)

    def _likely(self, dollars: float) -> float:
        """What as many requests in flight as may be will ask for, and some more: a record serves many of them."""
        self._dearest = max(self._dearest, dollars)
        return self.spent + max(self.reserved, self._at_once * self._dearest) + dollars
