"""What a run has cost, in words."""

from tasks.core.costs.spending import Spending
from tasks.core.details import Usage
from tasks.core.planning.job_costs import JobCosts
from tasks.core.text import money


def cost_line(costs: JobCosts, spent: Spending, saved: Usage) -> str:
    """Dollars of the run and of its job, and who says so; nothing where no price is known.

    `saved`: tokens that rows which ask the same have not taken.
    """
    if costs.price is None:
        return ""
    maybe = f", and {money(spent.unsure)} at most for requests that may have been billed" if spent.unsure else ""
    job = money(costs.with_attempt(spent))
    less = f"; one request for equal rows saved {money(costs.price.dollars(saved))}" if saved.total else ""
    return f"cost: {money(spent.dollars or 0.0)}{maybe}; the job so far: {job}{less} (prices: {costs.price.source})"


def cost_range(spent: Spending) -> str:
    """`$1.20`; `$1.20-1.55` where some of it may not have been billed."""
    if spent.dollars is None:
        return "?"
    most = f"-{money(spent.dollars + spent.unsure)[1:]}" if spent.unsure else ""
    return money(spent.dollars) + most
