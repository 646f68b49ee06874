"""What a run by batch jobs is told. No part of a sample's key: the answers are the same."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """How rows are sent: one request each, or many as one batch job, at half the price and later.

    AUTO: the cheapest way that the time allows, chosen once it is known what there is to send (see costs/ways.py).
    """

    ONLINE = "online"
    BATCH = "batch"
    AUTO = "auto"


class Leftovers(StrEnum):
    """What becomes of rows that two batch jobs have left open."""

    ONLINE = "online"
    BATCH = "batch"
    OPEN = "open"

    @property
    def most_groups(self) -> int:
        """How many batch jobs a row may be in."""
        return 5 if self is Leftovers.BATCH else 2


@dataclass(frozen=True, slots=True)
class BatchRun:
    """`deadline`: from when on jobs are cancelled, in seconds since 1970. `wait_seconds`: without news, until answers
    are due later; None: they are waited for. `owner`: of the job's lock, without which nothing is created.
    """

    leftovers: Leftovers = Leftovers.ONLINE
    deadline: float | None = None
    wait_seconds: float | None = None
    owner: str = ""
