"""The nouns of batch mode: a batch job as the API tells of it, a row's line, and what can go wrong on the way."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from tasks.core.errors import ApiError
from tasks.core.records import ModelOutput
from tasks.core.text import counted

_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"})


class NotSent(ConnectionError):
    """There was no connection to send by: the other side has heard nothing."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """`name`: `batches/…`. `state`: without what stands before it, such as `SUCCEEDED`. `results_file`: `files/…`.

    `requests`, `succeeded`, `failed`: rows, as far as the API counts them; `error`: of the job as a whole.
    """

    name: str
    display_name: str = ""
    state: str = ""
    done: bool = False
    results_file: str = ""
    error: ApiError | None = None
    requests: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more is going to happen to it."""
        return self.done or self.state in _ENDED


@dataclass(frozen=True, slots=True)
class AtWork:
    """Batch jobs that have not ended. `states`: how many are in each, as the API has it; `rows`: in all of them, `done`
    as far as the API says. `next_look`, `deadline`: when, in seconds since 1970.
    """

    states: tuple[tuple[str, int], ...] = ()
    rows: int = 0
    done: int = 0
    next_look: float = 0.0
    deadline: float | None = None

    @classmethod
    def of(cls, jobs: Collection[tuple[int, BatchJob]], next_look: float, deadline: float | None) -> Self:
        """Of `jobs`, each with how many rows were sent in it."""
        states = Counter(job.state for _, job in jobs).most_common()
        done = sum(job.succeeded + job.failed for _, job in jobs)
        return cls(tuple(states), sum(rows for rows, _ in jobs), done, next_look, deadline)

    @property
    def jobs(self) -> int:
        return sum(number for _, number in self.states)


class Step(StrEnum):
    """What is done for the next batch job, in words for people."""

    PACKING = "packing the next batch job"
    UPLOADING = "uploading a batch job"
    CREATING = "asking for a batch job"
    FINDING = "finding out whether a batch job was made, for 11 min at most"
    WAITING = "the API has no room for a batch job"


@dataclass(frozen=True, slots=True)
class Making:
    """The next batch job. `bytes`: of its file so far, of which `sent` have arrived."""

    step: Step
    rows: int
    bytes: int
    sent: int = 0


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs of the project, the newest first. `next_token`: of the next page; empty: this is the last."""

    jobs: tuple[BatchJob, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A line of a results file: what came of the row that was sent under `key`."""

    key: str
    result: ModelOutput | ApiError


def jobs_counted(jobs: int, rows: int) -> str:
    """`2 batch jobs with 400 rows`"""
    return f"{counted(jobs, 'batch job')} with {counted(rows, 'row')}"
