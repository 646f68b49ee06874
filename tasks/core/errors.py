"""What can end a run early. A row that fails is data (see outcomes.py), never an exception.

Exception
├── InputError      the run cannot be right as asked: nothing is started, exit code 2
├── MediaError      one image or other medium cannot be sent; its row goes without
├── DataUnavailable rows or media are not to be had at present; a row without its data is not sent
├── ApiError        one call was refused
├── MalformedAnswer one call was answered with something that is not an answer
├── ConnectionLost  one call may have been answered, and nobody knows
├── RunIncomplete   rows are left that are worth sending again
├── RunStopped      no further request may go out; answers that have arrived are kept
└── Deferred        no error: the answers are due later
"""

import errno
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tasks.core.text import visible


class InWords:
    """An exception whose message says all: a notebook shows it without the frames that raised it."""

    @property
    def lines(self) -> str:
        return visible(str(self))

    def _render_traceback_(self) -> list[str]:
        """By which IPython asks an exception: https://github.com/ipython/ipython `showtraceback`."""
        return [f"{type(self).__name__}: {self.lines}"]


class InputError(InWords, ValueError):
    """Something the user can put right: a missing key, an unknown column, a folder without write access.

    `kind` is the class name shown to the user, as in `DatasetNotFoundError: …`; without one there is the message alone.
    `way_out`: what helps, on a line of its own.
    """

    def __init__(self, message: str, kind: str = "", way_out: str = "") -> None:
        super().__init__(message)
        self.kind, self.way_out = kind, way_out

    @property
    def line(self) -> str:
        """The one line a user sees."""
        lead = f"{self.kind}: " if self.kind else ""
        return visible(lead + " ".join(str(self).split()))

    @property
    def lines(self) -> str:
        """The same with the way out, where it stands apart."""
        return f"{self.line}\n{self.way_out}" if self.way_out else self.line


def kind_of(error: Exception) -> str:
    """The name of an error that people know, such as PermissionError; empty for a library's own."""
    return type(error).__name__ if isinstance(error, OSError) else ""


class MediaError(Exception):
    """Why an image, or another medium, cannot be sent, in words fit for the CSV."""


class DataUnavailable(OSError):
    """Data that is elsewhere does not come. `passes`: it may later; `wait_seconds`: not before, as the other side says.

    An OSError, for so it is with a disk.
    """

    def __init__(self, message: str, passes: bool = True, wait_seconds: float = 0.0) -> None:
        super().__init__(errno.EAGAIN if passes else errno.EACCES, message)
        self.passes, self.wait_seconds = passes, wait_seconds

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.passes, self.wait_seconds)


@dataclass(eq=False)  # frozen, no context manager could pass it on
class ApiError(Exception):
    """The API answered with an error.

    `details`: the list of google.rpc details, such as RetryInfo. `headers`: those that say when to come back, their
    names in lower case.
    """

    code: int
    status: str
    message: str
    details: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.status} {self.message}"


class MalformedAnswer(Exception):
    """A 2xx whose body is not a Gemini answer."""


class ConnectionLost(ConnectionError):
    """The connection was lost after a request may have gone out: it may have been answered, and billed."""


class RunIncomplete(InWords, Exception):
    """The run ended with rows that are worth sending again, and Prefect is to try it again."""


class StopReason(StrEnum):
    """Why a run ends before its last row. What was refused decides on the way out that the user is shown."""

    INTERRUPTED = "interrupted"
    REFUSED = "refused"
    REFUSED_MODEL = "refused_model"
    REFUSED_KEY = "refused_key"
    REFUSED_PLACE = "refused_place"
    REFUSED_ENDPOINT = "refused_endpoint"
    NO_CREDIT = "no_credit"
    NO_QUOTA = "no_quota"
    QUOTA = "quota"
    BUDGET = "budget"
    RUN_BUDGET = "run_budget"
    API_DOWN = "api_down"
    IMAGES = "images"
    STORAGE = "storage"
    TAKEN_OVER = "taken_over"


REFUSALS = frozenset(
    {StopReason.REFUSED, StopReason.REFUSED_MODEL, StopReason.REFUSED_KEY, StopReason.REFUSED_PLACE}
    | {StopReason.REFUSED_ENDPOINT, StopReason.NO_CREDIT, StopReason.NO_QUOTA}
)


class RunStopped(Exception):
    """Raised instead of sending a request once the run has been stopped."""

    def __init__(self, reason: StopReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Deferred(Exception):
    """Not an error: the answers are due later. `until`: when to look again, with a time zone."""

    def __init__(self, until: datetime, message: str) -> None:
        super().__init__(message)
        self.until = until
        self.message = message

    def or_sooner(self, other: "Deferred | None") -> "Deferred":
        """Of the two, the one that is due first."""
        return other if other and other.until <= self.until else self


class Misfit(ValueError):
    """An answer does not fit the schema that was asked for; why, in words for the model as well."""
