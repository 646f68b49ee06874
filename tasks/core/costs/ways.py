"""The ways in which rows can be sent: how long each may take, and which one `--mode auto` takes. Asks nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tasks.core.config.limits import LimitsConfig, ServiceTier
from tasks.core.costs.estimate import UNKNOWN_LATENCY, Estimate, Range
from tasks.core.costs.prices import BATCH, FLEX, Price
from tasks.core.details import STANDARD, Usage
from tasks.core.text import lasting

FLEX_LATENCY = Range(60.0, 900.0)  # of an answer, as Google's page has it
BATCH_SECONDS = Range(300.0, 86_400.0)  # what jobs have been seen to take, and what Google aims at
LEAST_BATCH_SECONDS = 3600.0  # in which most jobs end; what has not ended by then goes online
UNASKED_SECONDS = 86_400.0  # that a run may take which nobody has given a deadline
_NOMINAL = Usage(1000, 1000)  # enough to see which of two tiers is cheaper


class Way(StrEnum):
    ONLINE = "online"
    FLEX = "flex"
    BATCH = "batch"


class Choice(NamedTuple):
    """Which way, and why no cheaper one, or why this one."""

    way: Way
    why: str

    @property
    def line(self) -> str:
        return f"--mode auto takes {self.way}: {self.why}"


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known before the first request. `tier`: that the user asks for online.

    `no_batch`, `no_flex`: why there is none. `deadline`: as it was typed, with the seconds that are `left` of it.
    """

    price: Price | None
    seconds: Mapping[Way, Range]
    tier: ServiceTier | None = None
    no_batch: str = ""
    no_flex: str = ""
    deadline: str | None = None
    left: float = UNASKED_SECONDS

    def why_not(self, way: Way) -> str:
        """Empty where nothing is against it; of flex and batch."""
        if self.price is None:
            return "no price is known"
        if way is Way.FLEX:
            return self._why_no_flex()
        if self.no_batch:
            return self.no_batch
        if not self.saved(BATCH) > 0:
            return f"--service-tier {self.tier} costs no more"
        return f"--deadline {self.deadline} leaves less than an hour" if self.left < LEAST_BATCH_SECONDS else ""

    def saved(self, tier: str) -> float:
        """The share of the price that `tier` saves."""
        assert self.price
        cheap, dear = (self.price.dollars(_NOMINAL, name) for name in (tier, self.tier or STANDARD))
        return 1 - cheap / dear if dear else 0.0

    @property
    def is_late(self) -> bool:
        """Whether a deadline may pass even online."""
        return self.deadline is not None and self.seconds[Way.ONLINE].high > self.left

    def _why_no_flex(self) -> str:
        if self.tier:
            return f"--service-tier {self.tier} is set"
        if self.no_flex:
            return self.no_flex
        most = self.seconds[Way.FLEX].high
        within = f"--deadline {self.deadline}" if self.deadline else "a day"
        return f"it may take {lasting(most)}, longer than {within}" if most > self.left else ""


def durations(
    estimate: Estimate, limits: LimitsConfig, latency_seconds: float | None, tier: ServiceTier | None = None
) -> dict[Way, Range]:
    """How long the rows of `estimate` may take by each way. `latency_seconds`: of an answer online, if it is known."""
    unknown = FLEX_LATENCY if tier is ServiceTier.FLEX else UNKNOWN_LATENCY
    online = Range(latency_seconds, latency_seconds) if latency_seconds else unknown
    return {
        Way.ONLINE: estimate.seconds(limits, online),
        Way.FLEX: estimate.seconds(limits, FLEX_LATENCY),
        Way.BATCH: BATCH_SECONDS if estimate.rows else Range(0.0, 0.0),
    }


def choose(found: Situation) -> Choice:
    """Batch jobs where they are cheaper and the time allows them, else flex, else online."""
    no_batch = found.why_not(Way.BATCH)
    if not no_batch:
        time = f"--deadline {found.deadline} leaves time" if found.deadline else "without --deadline it may take a day"
        return Choice(Way.BATCH, f"{found.saved(BATCH):.0%} cheaper, and {time}")
    no_flex = found.why_not(Way.FLEX)
    if not no_flex:
        return Choice(Way.FLEX, f"{found.saved(FLEX):.0%} cheaper; no batch: {no_batch}")
    late = f"; it may take longer than --deadline {found.deadline}" if found.is_late else ""
    if no_batch == no_flex:
        return Choice(Way.ONLINE, no_batch + late)
    return Choice(Way.ONLINE, f"no batch: {no_batch}; no flex: {no_flex}{late}")
