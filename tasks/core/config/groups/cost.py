"""What a run may cost, by which prices, and how it costs less. No part of a sample's key: the answers are the same."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tasks.core.config.groups.base import Parameters, Text
from tasks.core.config.limits import ServiceTier

_NAMES = ("input", "output", "cached")


def dollars_by_name(text: str) -> dict[str, float]:
    """The prices in `input=0.30,output=2.50,cached=0.03`: dollars for a million tokens.

    Raises:
        ValueError: it says anything else.
    """
    pairs = [word.partition("=") for word in text.split(",")]
    try:
        given = {name.strip(): float(value) for name, _, value in pairs}
    except ValueError:
        given = {}
    if not {"input", "output"} <= given.keys() <= set(_NAMES) or not all(0 <= d < 1e6 for d in given.values()):
        raise ValueError("it must be dollars for a million tokens, such as input=0.30,output=2.50 or …,cached=0.03")
    return given


def _readable(text: str | None) -> str | None:
    if text:
        dollars_by_name(text)
    return text


class CostParameters(Parameters):
    """cost"""

    service_tier: ServiceTier | None = Field(
        None, description="flex: half price, answers within 15 minutes, often busy; also standard and priority."
    )
    cache_prefix: bool = Field(
        False, description="Let Gemini keep a long system instruction or beginning of the template for all rows."
    )
    price: Annotated[Text, AfterValidator(_readable)] = Field(
        None, description="Dollars for a million tokens, where the price list is not right: input=0.30,output=2.50."
    )
    max_cost: float | None = Field(
        None, gt=0, description="Stop before all runs of this job have cost more, in dollars."
    )
    max_cost_per_run: float | None = Field(None, gt=0, description="Stop before this run has cost more, in dollars.")

    @property
    def given_price(self) -> dict[str, float] | None:
        """`price`, read."""
        return dollars_by_name(self.price) if self.price else None
