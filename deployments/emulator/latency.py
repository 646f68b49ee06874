"""How long an answer takes, in seconds. Must not sleep and must not own a random generator."""

import math
from dataclasses import dataclass
from random import Random
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    seconds: float = 0.0
    kind: Literal["constant"] = "constant"

    def draw(self, random: Random) -> float:
        return self.seconds


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything between two bounds, all equally likely."""

    low_seconds: float
    high_seconds: float
    kind: Literal["uniform"] = "uniform"

    def draw(self, random: Random) -> float:
        return random.uniform(self.low_seconds, self.high_seconds)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Mostly near the mean, with a long tail of stragglers. `sigma` is that of the logarithm."""

    mean_seconds: float
    sigma: float
    kind: Literal["lognormal"] = "lognormal"

    def draw(self, random: Random) -> float:
        return random.lognormvariate(math.log(self.mean_seconds) - self.sigma**2 / 2, self.sigma)


type Latency = Annotated[Constant | Uniform | LogNormal, Field(discriminator="kind")]


def parse_latency(text: str) -> Latency:
    """`0.2`, `constant:0.2`, `uniform:0.1:0.5` or `lognormal:1.0:0.6` (mean seconds, sigma).

    Raises ValueError with the forms that are understood.
    """
    shape, *numbers = text.split(":") if ":" in text else ("constant", text)
    try:
        match shape, [float(number) for number in numbers]:
            case "constant", [seconds] if seconds >= 0:
                return Constant(seconds)
            case "uniform", [low, high] if 0 <= low <= high:
                return Uniform(low, high)
            case "lognormal", [mean, sigma] if mean > 0 and sigma >= 0:
                return LogNormal(mean, sigma)
    except ValueError:
        pass
    raise ValueError(f"latency={text!r} is not SECONDS, constant:SECONDS, uniform:LOW:HIGH or lognormal:MEAN:SIGMA")
