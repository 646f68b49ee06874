"""Whether rows go out as batch jobs, and what then."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tasks.core.config.batch import Leftovers, Mode
from tasks.core.config.groups.base import Parameters, Text
from tasks.core.text import seconds_in


def seconds_of(text: str) -> float:
    """Of `6h`, `90m` or `2d`. Raises ValueError."""
    seconds = seconds_in(text)
    if not seconds:
        raise ValueError(f"{text!r} is not a length of time such as 6h, 90m or 2d")
    return float(seconds)


def _length_of_time(text: str | None) -> str | None:
    if text:
        seconds_of(text)
    return text


class BatchParameters(Parameters):
    """batch"""

    mode: Mode = Field(
        Mode.ONLINE,
        description="batch: half price by Gemini's Batch API, in minutes to a day; auto: the cheapest that is in time.",
    )
    deadline: Annotated[Text, AfterValidator(_length_of_time)] = Field(
        None,
        description="With mode batch or auto: cancel jobs that are not done after this long, and go on online: 6h, 2d.",
    )
    leftovers: Leftovers = Field(
        Leftovers.ONLINE,
        description="With mode batch or auto: where rows go that two batch jobs have left open; online, batch or open.",
    )
