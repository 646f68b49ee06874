"""What a run is likely to take, as ranges: tokens, dollars, seconds. Pure arithmetic on what was looked at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from tasks.core.checkpoint.table.taken import AnswerSizes
from tasks.core.config.limits import LimitsConfig
from tasks.core.costs.prices import Price
from tasks.core.details import Usage

SURELY = 3.0  # standard errors
LEAST_MARGIN, ANSWERS_MARGIN = 0.02, 0.1  # of what was counted; of answers, which no count foretells
FEW_ANSWERS = 20  # tell nothing of the others


class Range(NamedTuple):
    """From the least to the most that is likely."""

    low: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.high * factor)

    def within(self, most: float) -> "Range":
        return Range(min(self.low, most), min(self.high, most))

    @classmethod
    def around(cls, value: float, margin: float) -> Self:
        return cls(value * max(1 - margin, 0.0), value * (1 + margin))


UNKNOWN_LATENCY = Range(1.0, 20.0)  # seconds


class Size(NamedTuple):
    """Of one request's prompt: tokens by its length, at least, likely and at most; `counted`: by the API, if it was."""

    low: float
    likely: float
    high: float
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of `rows` requests: tokens of all prompts, and of all answers."""

    rows: int
    prompt: Range
    answers: Range

    def dollars(self, price: Price, tier: str) -> Range:
        rates, each = price.of(tier), self.prompt.times(1 / max(self.rows, 1))
        bounds = zip(self.prompt, self.answers, each, strict=True)
        return Range(
            *(rates.dollars(Usage(round(p), round(a)), longest=math.ceil(longest)) for p, a, longest in bounds)
        )

    def seconds(self, limits: LimitsConfig, latency: Range) -> Range:
        """At the limits that were given, if the API keeps up. `latency`: of an answer, in seconds."""
        by_latency = latency.times(max(self.rows / limits.max_concurrent, 1.0 if self.rows else 0.0))
        by_minute = 60 * self.rows / limits.rpm if limits.rpm else 0.0
        by_tokens = self.prompt.times(60 / limits.tpm) if limits.tpm else Range(0.0, 0.0)
        return Range(max(by_latency.low, by_minute, by_tokens.low), max(by_latency.high, by_minute, by_tokens.high))


def prompt_tokens(rows: int, sizes: Sequence[Size]) -> Range:
    """Of `rows` prompts, by a fair sample: by how far likely sizes are right, where the API has counted some."""
    if not sizes:
        return Range(0.0, 0.0)
    likely = [size.likely for size in sizes]
    sampling = _error(likely, rows)
    counted = [size for size in sizes if size.counted is not None]
    if not counted:
        low, high = (rows * sum(bound) / len(sizes) for bound in ([s.low for s in sizes], [s.high for s in sizes]))
        return Range(low * max(1 - SURELY * sampling, 0.0), high * (1 + SURELY * sampling))
    true = [size.counted or 0 for size in counted]
    ratio = sum(true) / max(sum(size.likely for size in counted), 1.0)
    mean = sum(true) / len(true)  # to which what each is wrong by is added: the error is a share of it
    wrong = [mean + size.likely * ratio - tokens for size, tokens in zip(counted, true, strict=True)]
    margin = LEAST_MARGIN + SURELY * math.hypot(sampling, _error(wrong, rows))
    return Range.around(rows * ratio * sum(likely) / len(likely), margin)


def answer_tokens(rows: int, so_far: AnswerSizes, most: int) -> Range:
    """Of `rows` answers: as the job's so far, or where those are few, up to the `most` that one can have."""
    if so_far.answers < FEW_ANSWERS:
        return Range(rows, rows * most)
    error = so_far.deviation / max(so_far.mean, 1.0) * math.sqrt(1 / so_far.answers + 1 / max(rows, 1))
    return Range.around(rows * so_far.mean, ANSWERS_MARGIN + SURELY * error).within(rows * most)


def _error(values: Sequence[float], of: int) -> float:
    """How far the mean of all is from the mean of this sample of `of` values, as a share of it: a standard error."""
    mean = sum(values) / len(values)
    if len(values) < 2 or len(values) >= of or not mean:
        return 0.0
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values)) / mean
