"""What tokens cost: by the list that `genai-prices` brings along, or as the user says. Asks nobody, updates nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

from tasks.core.costs.price_list import list_rates, list_version
from tasks.core.costs.rates import Rate, Rates
from tasks.core.details import STANDARD, Usage

FLEX, BATCH, PRIORITY = "flex", "batch", "priority"
MILLION = 1_000_000
# Where the list has no prices of a tier's own: as Google's page puts it. What is cached is not made cheaper.
_FACTORS = {STANDARD: 1.0, FLEX: 0.5, BATCH: 0.5, PRIORITY: 1.8}


@dataclass(frozen=True, slots=True)
class Price:
    """Of one model, in dollars, by service tier. `day`: of the list; None: the user says so, whatever model answers."""

    tiers: Mapping[str, Rates]
    day: date | None = None

    @property
    def source(self) -> str:
        """Who says so."""
        return f"{list_version()}, {self.day}" if self.day else "--price"

    @property
    def modalities(self) -> list[str]:
        """What has a rate of its own, as Usage.by_modality names it."""
        return self.tiers[STANDARD].modalities

    def of(self, tier: str, answered_by: str = "") -> Rates:
        """The rates of `tier`; one that nobody knows counts as the standard one.

        `answered_by`: a model that is not the one asked for, and has its own price.
        """
        other = _listed(answered_by, self.day) if answered_by and self.day else None
        tiers = other or self.tiers
        return tiers.get(tier, tiers[STANDARD])

    def dollars(self, usage: Usage, tier: str = STANDARD, searches: int = 0) -> float:
        """Of tokens that one request took. `searches`: of the web, which are billed apart."""
        return self.of(tier).dollars(usage, searches)


def price_of(model: str, given: Mapping[str, float] | None = None, day: date | None = None) -> Price | None:
    """What `model` costs; None where nobody knows. `day`: today.

    `given`: dollars for a million tokens, by `input`, `output` and `cached`; then the list is not asked.
    """
    if given:
        rates = {"prompt": given["input"], "answer": given["output"], "cached": given.get("cached", given["input"])}
        standard = Rates({name: Rate(dollars / MILLION) for name, dollars in rates.items()})
        return Price({tier: standard.times(factor) for tier, factor in _FACTORS.items()})
    day = day or datetime.now(UTC).date()
    tiers = _listed(model, day)
    return Price(tiers, day) if tiers else None


@lru_cache
def _listed(model: str, day: date) -> Mapping[str, Rates] | None:
    standard = list_rates(model, STANDARD, day)
    if standard is None:
        return None
    return {tier: list_rates(model, tier, day) or standard.times(factor) for tier, factor in _FACTORS.items()}
