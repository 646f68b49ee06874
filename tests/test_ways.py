"""Which way `--mode auto` takes, of what is known before the first request."""

from typing import Any

import pytest

from tasks.core.config.limits import LimitsConfig, ServiceTier
from tasks.core.costs.estimate import Estimate, Range
from tasks.core.costs.prices import price_of
from tasks.core.costs.ways import Situation, Way, choose, durations

LIMITS = LimitsConfig(max_concurrent=100)
PRICE = price_of("m", {"input": 1.0, "output": 2.0})


def situation(rows: int = 100, deadline: str | None = None, left: float = 86_400.0, **known: Any) -> Situation:
    seconds = durations(Estimate(rows, Range(0.0, 0.0), Range(0.0, 0.0)), LIMITS, None)
    return Situation(**{"price": PRICE, "seconds": seconds, "deadline": deadline, "left": left, **known})


@pytest.mark.parametrize(
    ("found", "way", "why"),
    [
        (situation(), Way.BATCH, "50% cheaper, and without --deadline it may take a day"),
        (situation(deadline="6h", left=21_600), Way.BATCH, "50% cheaper, and --deadline 6h leaves time"),
        (
            situation(deadline="30m", left=1800),
            Way.FLEX,
            "50% cheaper; no batch: --deadline 30m leaves less than an hour",
        ),
        (
            situation(rows=1000, deadline="30m", left=1800),
            Way.ONLINE,
            "no batch: --deadline 30m leaves less than an hour; "
            "no flex: it may take 2 h 30 min, longer than --deadline 30m",
        ),
        (
            situation(rows=100_000, deadline="2h", left=0, no_flex="not here"),
            Way.ONLINE,
            "no batch: --deadline 2h leaves less than an hour; no flex: not here; "
            "it may take longer than --deadline 2h",
        ),
        (situation(no_batch="not here"), Way.FLEX, "50% cheaper; no batch: not here"),
        (
            situation(rows=100_000, no_batch="not here"),
            Way.ONLINE,
            "no batch: not here; no flex: it may take 250 h 0 min, longer than a day",
        ),
        (situation(price=None), Way.ONLINE, "no price is known"),
        (situation(rows=1_000_000, price=None), Way.ONLINE, "no price is known"),
        (situation(tier=ServiceTier.STANDARD), Way.BATCH, "50% cheaper, and without --deadline it may take a day"),
        (
            situation(tier=ServiceTier.FLEX),
            Way.ONLINE,
            "no batch: --service-tier flex costs no more; no flex: --service-tier flex is set",
        ),
    ],
)
def test_the_cheapest_way_is_taken_that_the_time_allows(found: Situation, way: Way, why: str) -> None:
    """And a service tier that the user has set stays."""
    choice = choose(found)
    assert (choice.way, choice.why, choice.line) == (way, why, f"--mode auto takes {way}: {why}")
