"""What the answers of attempts have taken, in tokens. Must not know what they cost."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks.core.checkpoint.table.database import Database, marks
from tasks.core.details import Usage

_TAKEN = """
SELECT attempt.name, service_tier, answered_by, sum(timeouts + lost), max(prompt_tokens), {searches},
    sum(prompt_tokens), sum(answer_tokens), sum(cached_tokens), sum(thought_tokens){modalities}
FROM answer JOIN attempt ON attempt = number LEFT JOIN response USING (place)
WHERE attempt.name NOT IN ({known}) GROUP BY attempt.name, service_tier, answered_by
"""
_TOLD = "coalesce(sum(json_extract(nullif(details, ''), '$.{}')), 0)"


_SIZES = """
SELECT count(*), avg(answer_tokens), avg(answer_tokens * answer_tokens),
    avg(json_extract(nullif(details, ''), '$.latency_seconds'))
FROM answer LEFT JOIN response USING (place) WHERE NOT retryable AND prompt_tokens + answer_tokens > 0
"""


class AnswerSizes(NamedTuple):
    """Of finished answers. Tokens of one: their mean and standard deviation. `seconds`: that one took."""

    answers: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """Of answers of one attempt that are billed alike. `maybe_billed`: requests beside, whose tokens nobody knows."""

    attempt: str
    service_tier: str
    answered_by: str
    maybe_billed: int
    longest: int  # prompt, in tokens
    searches: int
    usage: Usage


def taken(database: Database, known: Collection[str], modalities: Sequence[str]) -> Iterator[Taken]:
    """Of all attempts that are not `known`. `modalities`: those to be told apart, as Usage.by_modality has them."""
    query = _TAKEN.format(
        searches=_TOLD.format("searches"),
        modalities="".join(f", {_TOLD.format(f'by_modality.{name}')}" for name in modalities),
        known=marks(known),
    )
    for row in database.run(query, *known):
        attempt, tier, answered_by, maybe_billed, longest, searches, prompt, answer, cached, thought, *told = row
        usage = Usage(prompt, answer, cached, thought, dict(zip(modalities, told, strict=True)))
        yield Taken(attempt, tier, answered_by, maybe_billed, longest, searches, usage)


def answer_sizes(database: Database) -> AnswerSizes:
    """Of all attempts."""
    count, mean, square, seconds = database.run(_SIZES).fetchone()
    return AnswerSizes(count, mean, math.sqrt(max(square - mean**2, 0.0)), seconds) if count else AnswerSizes()
