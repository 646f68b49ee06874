"""How requests go out at a moment, in numbers, and what holds others back. Decides nothing."""

from dataclasses import dataclass
from enum import StrEnum


class Hold(StrEnum):
    """Why a request does not go out, in words for people."""

    SAVING = "answers cannot be saved"
    RATE_LIMIT = "rate limit"
    OUTAGE = "API overloaded: probing"
    OWN_LIMIT = "--rpm or --tpm"
    SLOWED = "the API falls behind: fewer in flight"


@dataclass(frozen=True, slots=True)
class Traffic:
    """`limit`: requests that may be in flight now. `wait_seconds`: until the hold is over; 0 where nobody knows."""

    in_flight: int
    limit: int
    hold: Hold | None = None
    wait_seconds: float = 0.0
