"""What answers that are kept have taken, in dollars. Reads nothing."""

from collections.abc import Iterable

from tasks.core.checkpoint.table.taken import Taken
from tasks.core.costs.prices import Price
from tasks.core.costs.spending import Spending
from tasks.core.details import Usage


def spending_of(taken: Iterable[Taken], price: Price | None, answer_tokens: int) -> dict[str, Spending]:
    """By attempt. `answer_tokens`: what a request that brought no answer may have taken, at most.

    Where a long prompt has another price, all count as if they were as long as the longest.
    """
    spent: dict[str, Spending] = {}
    for some in taken:
        known = spent.setdefault(some.attempt, Spending(attempts=[some.attempt], dollars=0.0 if price else None))
        known.prompt_tokens += some.usage.prompt_tokens
        known.answer_tokens += some.usage.answer_tokens
        known.cached_tokens += some.usage.cached_tokens
        if price:
            rates = price.of(some.service_tier, some.answered_by)
            known.dollars = (known.dollars or 0.0) + rates.dollars(some.usage, some.searches, some.longest)
            known.unsure += some.maybe_billed * rates.most(some.longest, 0, answer_tokens)
    return spent


def dollars_of(spending: Spending, price: Price) -> float:
    """All that it may have cost; at the price of today where none was known."""
    if spending.dollars is not None:
        return spending.dollars + spending.unsure
    usage = Usage(spending.prompt_tokens, spending.answer_tokens, spending.cached_tokens)
    return price.dollars(usage)
