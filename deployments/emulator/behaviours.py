"""All that the emulator can do with a request, as plain data that goes to JSON and back.

Must not build replies (`replies.py`) or decide when a behaviour applies (`rules.py`).

    Behaviour
     ├ Answer        200 with a text
     ├ Finish        200 with a candidate that stopped for another reason than STOP
     ├ Blocked       200 with `promptFeedback.blockReason` and no candidate
     ├ RateLimited   429
     ├ ApiError      any other HTTP error
     ├ Redirect      3xx with a Location
     └ Broken        something that is no proper HTTP answer of this API
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field


class Quota(StrEnum):
    """Which quota a 429 names: one that recovers in a minute, one that does not today, or none."""

    PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    UNNAMED = "unnamed"


class Breakage(StrEnum):
    """How a connection or a body fails."""

    EMPTY_BODY = "empty_body"
    """200 and no bytes."""
    EMPTY_JSON = "empty_json"
    """200 and `{}`."""
    HTML = "html"
    """200 and a web page, as a proxy sends it."""
    CUT_BODY = "cut_body"
    """200, a full Content-Length, half of the bytes, then the connection closes."""
    DROP = "drop"
    """The connection closes before any header."""
    HANG = "hang"
    """Nothing, until the client goes away."""


@dataclass(frozen=True, slots=True)
class Answer:
    """200 with `text`, or with the emulator's own answer to the request when `text` is None."""

    text: str | None = None
    kind: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class Finish:
    """200 with `finishReason: reason`. With a `text` the candidate has content (and is billed).

    MAX_TOKENS without a text gives the first half of the answer to the request.
    CONTINUATION carries a `continuationToken`: a client that follows it pays again.
    """

    reason: str
    text: str | None = None
    kind: Literal["finish"] = "finish"


@dataclass(frozen=True, slots=True)
class Blocked:
    """200 with `promptFeedback.blockReason: reason` and no candidates."""

    reason: str = "PROHIBITED_CONTENT"
    kind: Literal["blocked"] = "blocked"


@dataclass(frozen=True, slots=True)
class RateLimited:
    """429. `retry_delay_seconds` None leaves RetryInfo out; `Quota.UNNAMED` leaves QuotaFailure out."""

    retry_delay_seconds: float | None = 1.5
    quota: Quota = Quota.PER_MINUTE
    quota_value: int = 10
    kind: Literal["rate_limited"] = "rate_limited"


@dataclass(frozen=True, slots=True)
class ApiError:
    """An HTTP error with Google's error body. Empty `message` and `status` mean the usual ones of `code`.

    `reason` adds an ErrorInfo. `{model}` and `{version}` in the message are filled in.
    """

    code: int = 503
    message: str = ""
    status: str = ""
    reason: str | None = None
    kind: Literal["api_error"] = "api_error"


@dataclass(frozen=True, slots=True)
class Redirect:
    """3xx: `Location: {location}`, as it is given."""

    location: str
    code: Literal[301, 302, 303, 307, 308] = 307
    kind: Literal["redirect"] = "redirect"


@dataclass(frozen=True, slots=True)
class Broken:
    """No proper answer: see `Breakage`."""

    how: Breakage
    kind: Literal["broken"] = "broken"


type Behaviour = Annotated[
    Answer | Finish | Blocked | RateLimited | ApiError | Redirect | Broken, Field(discriminator="kind")
]

UNAVAILABLE = ApiError(503)
UNKNOWN_MODEL = ApiError(404)
PERMISSION_DENIED = ApiError(403)
INVALID_KEY = ApiError(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
NO_KEY = ApiError(
    403,
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API.",
)
BAD_IMAGE = ApiError(
    400,
    "Unable to process input image. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
)


def label_of(behaviour: Behaviour) -> str:
    """The name a behaviour is counted under: `answer`, `finish:SAFETY`, `redirect:307`, `broken:hang`."""
    match behaviour:
        case Answer():
            return "answer"
        case Finish(reason=reason) | Blocked(reason=reason):
            return f"{behaviour.kind}:{reason}"
        case RateLimited(quota=quota):
            return f"rate_limited:{quota.name.lower()}"
        case ApiError(code=code):
            return f"api_error:{code}"
        case Redirect(code=code):
            return f"redirect:{code}"
        case Broken(how=how):
            return f"broken:{how}"


def is_billed(behaviour: Behaviour) -> bool:
    """Whether the client receives generated text, which is what is paid for."""
    match behaviour:
        case Answer():
            return True
        case Finish(reason=reason, text=text):
            return text is not None or reason == "MAX_TOKENS"
        case _:
            return False
