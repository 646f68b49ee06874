"""What a group sets aside of the budget, row by row, and what its results settle.

What a group may take is in its own records before its create (see checkpoint/groups.py): nothing is put on record here.
"""

from collections.abc import Iterable
from typing import NamedTuple

from tasks.core.answering.paying import Bill, PayingWithin
from tasks.core.costs.prices import Price
from tasks.core.costs.worst import Worst
from tasks.core.records import Outcome, Request


class GroupCost(NamedTuple):
    """Dollars that a group has taken; `unsure` of them may not have been billed."""

    dollars: float = 0.0
    unsure: float = 0.0


class GroupPaying:
    """Of the groups of a job in one process. `price`: by which results are settled; where nobody knows it, all that was
    set aside counts. This one has no budget: whatever is to go out may.
    """

    def __init__(self, price: Price | None = None) -> None:
        self._price = price

    async def first(self, request: Request) -> float:
        """Wait until the first row of a group is covered; returns what is set aside.

        Raises:
            RunStopped: nothing covers it, and nothing is on its way.
        """
        return 0.0

    def another(self, request: Request) -> float | None:
        """What is set aside for one more row of it; None: it is not covered now."""
        return 0.0

    def settle(self, reserved: float, cost: GroupCost) -> None:
        """A group is over, or is not to be: what was `reserved` for it is free but for what it has taken."""

    def put_off(self) -> None:
        """What is on its way is settled by another process: nobody waits for that."""

    def cost_of(self, rows: Iterable[tuple[float, Outcome]]) -> GroupCost:
        """By what each row says of itself; one that says nothing counts as what was set aside, which comes first."""
        dollars = unsure = 0.0
        for most, outcome in rows:
            bill = Bill(self._price, None)
            bill.settle(outcome)
            unsure += most if bill.dollars is None else 0.0
            dollars += (most if bill.dollars is None else bill.dollars) if most else 0.0
        return GroupCost(dollars, unsure)


class GroupPayingWithin(GroupPaying):
    """No group goes out that the budget of `within` does not cover."""

    def __init__(self, price: Price, worst: Worst, within: PayingWithin) -> None:
        super().__init__(price)
        self._worst, self._within = worst, within

    async def first(self, request: Request) -> float:
        return await self._within.reserve(self._worst.dollars(request), lambda: None)

    def another(self, request: Request) -> float | None:
        return self._within.budget.enlarge(self._worst.dollars(request))

    def settle(self, reserved: float, cost: GroupCost) -> None:
        self._within.budget.settle(reserved, cost.dollars, cost.unsure)

    def put_off(self) -> None:
        self._within.budget.end()
