"""What a run has cost, in words."""

from tasks.core.costs.spending import Spending
from tasks.core.details import Usage
from tasks.core.planning.job_costs import JobCosts
from tasks.core.text import money


def cost_line(costs: JobCosts, spent: Spending, saved: Usage, tier: str, cache_prefix: bool) -> str:
    """Dollars of the run and of its job, and who says so; nothing where no price is known.

    `saved`: tokens that rows which ask the same have not taken. `tier`: of most answers. `cache_prefix`: the run had
    something cached.
    """
    if costs.price is None:
        return ""
    rates = costs.price.of(tier)
    maybe = f", and {money(spent.unsure)} at most for requests that may have been billed" if spent.unsure else ""
    job = money(costs.with_attempt(spent))
    less = f"; one request for equal rows saved {money(rates.dollars(saved, longest=0))}" if saved.total else ""
    if cached := spent.cached_tokens:
        whole, cheaper = (rates.dollars(Usage(cached, cached_tokens=n), longest=0) for n in (0, cached))
        keeping = ", before what keeping them costs" if cache_prefix else ""
        less += f"; cached tokens saved {money(whole - cheaper)}{keeping}"
    return f"cost: {money(spent.dollars or 0.0)}{maybe}; the job so far: {job}{less} (prices: {costs.price.source})"


def cost_range(spent: Spending) -> str:
    """`$1.20`; `$1.20-1.55` where some of it may not have been billed."""
    if spent.dollars is None:
        return "?"
    most = f"-{money(spent.dollars + spent.unsure)[1:]}" if spent.unsure else ""
    return money(spent.dollars) + most
