"""What a run is likely to take, in words."""

from collections.abc import Iterator, Mapping

from tasks.core.checkpoint.table.taken import AnswerSizes
from tasks.core.config.limits import LimitsConfig
from tasks.core.costs.estimate import Estimate, Range
from tasks.core.costs.prices import BATCH, FLEX, Price
from tasks.core.costs.ways import Way
from tasks.core.details import STANDARD
from tasks.core.text import counted, money


def token_lines(estimate: Estimate, rests_on: str, so_far: AnswerSizes | None, most: int) -> Iterator[str]:
    """`rests_on`: what the prompts are by. `so_far`: the answers that the others are by; else each may have `most`."""
    yield f"prompts: {_tokens(estimate.prompt)}, {rests_on}"
    if so_far:
        by = f"by {counted(so_far.answers, 'answer')} of this job so far, of {so_far.mean:,.0f} tokens each"
    else:
        by = f"for one has up to {most:,} (--max-output-tokens); a run with --limit 20 says more"
    yield f"answers: {_tokens(estimate.answers)}, {by}"


WAYS = ("", "cost", "time", "")


def way_cells(
    estimate: Estimate, price: Price | None, seconds: Mapping[Way, Range], tier: str, chosen: Way
) -> list[tuple[str, ...]]:
    """The ways side by side, under WAYS. `tier`: of what is sent online. `chosen`: by `auto`."""
    tiers = {Way.ONLINE: tier or STANDARD, Way.FLEX: FLEX, Way.BATCH: BATCH}
    return [
        (
            f"{way} ({tier})" if way is Way.ONLINE and tier else way,
            _dollars(estimate.dollars(price, tiers[way])) if price else "?",
            _time(seconds[way]),
            "--mode auto" if way is chosen else "",
        )
        for way in Way
    ]


def price_line(price: Price | None, model: str) -> str:
    """By what the costs are."""
    if price is None:
        return f"cost: no price of {model} is known; --price input=0.30,output=2.50 says it"
    return f"prices: {price.source}"


def duration_line(limits: LimitsConfig, latency_seconds: float | None) -> str:
    """By what the times are."""
    by = f"{limits.max_concurrent:,} in flight"
    by += f", {limits.rpm:,} requests a minute" if limits.rpm else ""
    by += f", {limits.tpm:,} tokens a minute" if limits.tpm else ""
    takes = f"{latency_seconds:.1f} s an answer so far" if latency_seconds else "an answer in 1 to 20 s"
    return f"times: at {by}, {takes}; flex in 1 to 15 min; most batch jobs end in minutes, some in a day"


def _tokens(tokens: Range) -> str:
    return f"{tokens.low:,.0f} to {tokens.high:,.0f} tokens"


def _dollars(dollars: Range) -> str:
    low, high = money(dollars.low), money(dollars.high)
    return low if low == high else f"{low} to {high}"


def _time(seconds: Range) -> str:
    low, high = _rounded(seconds.low), _rounded(seconds.high)
    return low if low == high else f"{low} to {high}"


def _rounded(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
