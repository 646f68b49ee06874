"""What a request reserves of the budget, and what its outcome settles. Knows neither throttle nor model."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.budget import Budget, BudgetSpent, Purse
from tasks.core.costs.prices import Price
from tasks.core.costs.terms import Terms
from tasks.core.costs.worst import Worst
from tasks.core.details import STANDARD
from tasks.core.errors import RunStopped, StopReason
from tasks.core.records import Outcome, Request

type Check = Callable[[], object]


@dataclass(slots=True)
class Bill:
    """Of one request. `dollars`: what it took; None: nobody knows. Nothing as long as it has not gone out."""

    price: Price | None
    dollars: float | None = 0.0

    def goes_out(self) -> None:
        self.dollars = None

    def settle(self, outcome: Outcome) -> None:
        """An error of the API bills nothing (https://ai.google.dev/gemini-api/docs/billing)."""
        unsaid = outcome.kind.answered and not outcome.usage.total
        if self.price and not outcome.maybe_billed and not unsaid:
            rates = self.price.of(outcome.service_tier, outcome.answered_by)
            self.dollars = rates.dollars(outcome.usage, outcome.details.get("searches", 0))


class Paying:
    """Of one run in one process. This one has no budget: whatever is to go out may."""

    @asynccontextmanager
    async def reserved(self, request: Request, check: Check) -> AsyncIterator[Bill]:
        """The block sends `request`. `check` raises where nobody may any more, and ends the waiting.

        Raises:
            RunStopped: the run has to end, for nothing covers the request.
        """
        yield Bill(None)

    def wake(self) -> None:
        """Whoever waits looks whether the run was stopped."""

    async def close(self) -> None:
        """The last of what was spent is on record."""


class PayingWithin(Paying):
    """Nothing goes out that the purse does not cover. `shared`: other processes spend as well."""

    def __init__(
        self, terms: Terms, purse: Purse, generation: GenerateConfig, at_once: int, shared: bool = False
    ) -> None:
        self.budget, self._shared = Budget(purse, at_once), shared
        self._terms, self._worst = terms, Worst(terms.price, generation, generation.service_tier or STANDARD)

    @asynccontextmanager
    async def reserved(self, request: Request, check: Check) -> AsyncIterator[Bill]:
        reserved = await self.reserve(self._worst.dollars(request), check)
        bill = Bill(self._terms.price)
        try:
            yield bill
        finally:
            self.budget.settle(reserved, bill.dollars)

    async def reserve(self, dollars: float, check: Check) -> float:
        """What is reserved of the budget once it covers so much, for it to be settled there. Raises as `reserved`."""
        try:
            return await self.budget.reserve(dollars, check)
        except BudgetSpent:
            budget, terms = self.budget, self._terms
            alone = terms.spent_line(budget.spent, budget.unsure, dollars)
            line = terms.shared_line(dollars) if self._shared else alone
            raise RunStopped(self._terms.reason, line) from None
        except OSError as error:
            why = f"what requests may cost cannot be put on record: {error}"
            raise RunStopped(StopReason.STORAGE, why) from None

    def wake(self) -> None:
        self.budget.wake()

    async def close(self) -> None:
        await self.budget.close()


class PayingBeside(Paying):
    """The same where others spend of the budget as well. `whole`: all of it; `own`: on record, of requests alone."""

    def __init__(self, whole: PayingWithin, own: PayingWithin) -> None:
        self._whole, self._own = whole, own

    @asynccontextmanager
    async def reserved(self, request: Request, check: Check) -> AsyncIterator[Bill]:
        async with self._whole.reserved(request, check) as of_whole, self._own.reserved(request, check) as bill:
            try:
                yield bill
            finally:
                of_whole.dollars = bill.dollars

    def wake(self) -> None:
        self._whole.wake()
        self._own.wake()

    async def close(self) -> None:
        await self._own.close()
