"""The nouns of batch mode: a batch job as the API tells of it, a row's line, and what can go wrong on the way."""

from dataclasses import dataclass

from tasks.core.errors import ApiError
from tasks.core.records import ModelOutput

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
class JobPage:
    """Some jobs of the project, the newest first. `next_token`: of the next page; empty: this is the last."""

    jobs: tuple[BatchJob, ...]
    next_token: str = ""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """A line of a results file: what came of the row that was sent under `key`."""

    key: str
    result: ModelOutput | ApiError
