"""What may be spent is never exceeded, whatever requests take and whenever a process is killed."""

import asyncio
from collections.abc import Callable

import pytest

from tasks.core.costs.budget import Budget, BudgetSpent


class Full:
    """A purse that allows all it has."""

    def __init__(self, cap: float) -> None:
        self.allowed = 0.0
        self.cap = cap
        self.in_flight = 0

    async def allow(self, dollars: float, likely: float, check: Callable[[], object]) -> bool:
        if dollars > self.cap:
            if not self.in_flight:
                raise BudgetSpent
            return False
        self.allowed = min(self.cap, max(likely, dollars))
        return True

    def changed(self, spent: float, reserved: float, in_flight: int) -> None:
        self.in_flight = in_flight

    async def close(self) -> None: ...


def nothing() -> None: ...


async def test_a_request_waits_for_others_to_settle_before_it_is_refused() -> None:
    """First come, first served; what was settled for less than it reserved is free again."""
    budget = Budget(Full(1.0), 10)
    first, second = [await budget.reserve(0.5, nothing) for _ in range(2)]
    third = asyncio.ensure_future(budget.reserve(0.5, nothing))
    await asyncio.sleep(0)
    assert not third.done()
    budget.settle(first, 0.1)
    await asyncio.sleep(0)
    assert not third.done()
    budget.settle(second, 0.2)
    assert await third == 0.5
    budget.settle(0.5, 0.5)
    with pytest.raises(BudgetSpent):
        await budget.reserve(0.3, nothing)
    assert budget.spent == pytest.approx(0.8)


async def test_what_nobody_knows_counts_as_reserved() -> None:
    budget = Budget(Full(1.0), 10)
    budget.settle(await budget.reserve(0.6, nothing), None)
    assert (budget.spent, budget.unsure) == (0.6, 0.6)
    with pytest.raises(BudgetSpent):
        await budget.reserve(0.6, nothing)


async def test_a_worst_that_was_exceeded_is_not_believed_again() -> None:
    """An estimate that was too low by half is doubled from then on."""
    budget = Budget(Full(1.0), 10)
    budget.settle(await budget.reserve(0.1, nothing), 0.2)
    assert await budget.reserve(0.1, nothing) == pytest.approx(0.2)


async def test_a_run_that_is_stopped_ends_the_waiting() -> None:
    stopped = False

    def check() -> None:
        if stopped:
            raise InterruptedError

    budget = Budget(Full(1.0), 10)
    await budget.reserve(1.0, check)
    waiting = asyncio.ensure_future(budget.reserve(1.0, check))
    await asyncio.sleep(0)
    stopped = True
    budget.wake()
    with pytest.raises(InterruptedError):
        await waiting
