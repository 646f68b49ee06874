"""All that the emulator can do with a request, as plain data that goes to JSON and back.

Must not build replies (`replies.py`) or decide when a behaviour applies (`rules.py`).

    Behaviour
     ├ Answer        200 or another 2xx with a text
     ├ Finish        200 with a candidate that stopped for another reason than STOP
     ├ Blocked       200 with `promptFeedback.blockReason` and no candidate
     ├ RateLimited   429, or another code that says the same
     ├ HttpError     any other HTTP error
     ├ Redirect      3xx with a Location
     └ Broken        something that is no proper HTTP answer of this API
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field


class Quota(StrEnum):
    """Which quota a 429 names: one that recovers in a minute, one that does not today, room for files, or none."""

    PER_MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
    PER_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
    STORAGE = "FileStorageBytesPerProject"
    UNNAMED = "unnamed"


class Told(StrEnum):
    """Where an error says how long to wait."""

    RETRY_INFO = "retry_info"
    """In the details: `"retryDelay": "6s"`."""
    OBJECT = "object"
    """The same as an object: `"retryDelay": {"seconds": 6}`."""
    MESSAGE = "message"
    """`Please retry in 6s.`, below a second in milliseconds."""
    SECONDS = "seconds"
    """`Retry-After: 6`."""
    DATE = "date"
    """`Retry-After: Fri, 27 Nov 2026 10:00:06 GMT`."""
    MILLISECONDS = "milliseconds"
    """`retry-after-ms: 6000`."""


class Breakage(StrEnum):
    """How a connection or a body fails."""

    NO_CONTENT = "no_content"
    """204."""
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
    """200 with `text`, or with the emulator's own answer to the request when `text` is None.

    `beside` is merged into the reply's body, element by element in lists: odd fields, another `modelVersion`, and
    beyond the text, further parts (`with_parts`).
    """

    text: str | None = None
    code: int = 200
    beside: dict[str, Any] = field(default_factory=dict)
    kind: Literal["answer"] = "answer"


@dataclass(frozen=True, slots=True)
class Finish:
    """200 with `finishReason: reason`. With a `text` the candidate has content (and is billed).

    `beside`: as in Answer; what it puts into the candidate's content comes in place of a text.
    MAX_TOKENS without a text gives the first half of the answer to the request.
    CONTINUATION carries a `continuationToken`: a client that follows it pays again.
    """

    reason: str
    text: str | None = None
    beside: dict[str, Any] = field(default_factory=dict)
    kind: Literal["finish"] = "finish"


@dataclass(frozen=True, slots=True)
class Blocked:
    """200 with `promptFeedback.blockReason: reason` and no candidates."""

    reason: str = "PROHIBITED_CONTENT"
    kind: Literal["blocked"] = "blocked"


@dataclass(frozen=True, slots=True)
class RateLimited:
    """429. `retry_delay_seconds` None says no delay; `Quota.UNNAMED` leaves QuotaFailure out.

    `quota_value` 0: this model is not for this key, ever.
    """

    retry_delay_seconds: float | None = 1.5
    quota: Quota = Quota.PER_MINUTE
    quota_value: int = 10
    told: tuple[Told, ...] = (Told.RETRY_INFO, Told.MESSAGE)
    code: Literal[429, 503, 529] = 429
    kind: Literal["rate_limited"] = "rate_limited"


@dataclass(frozen=True, slots=True)
class HttpError:
    """An HTTP error with Google's error body. Empty `message` and `status` mean the usual ones of `code`.

    `reason` adds an ErrorInfo. `{model}` and `{version}` in the message are filled in.
    `retry_delay_seconds`: where given, it is `told` as in RateLimited.
    """

    code: int = 503
    message: str = ""
    status: str = ""
    reason: str | None = None
    retry_delay_seconds: float | None = None
    told: tuple[Told, ...] = (Told.SECONDS,)
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
    Answer | Finish | Blocked | RateLimited | HttpError | Redirect | Broken, Field(discriminator="kind")
]

UNAVAILABLE = HttpError(503)
UNKNOWN_MODEL = HttpError(404)
PERMISSION_DENIED = HttpError(403)
INVALID_KEY = HttpError(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")
NO_KEY = HttpError(
    403,
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API.",
)
BAD_IMAGE = HttpError(
    400,
    "Unable to process input image. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
)
NO_QUOTA = RateLimited(47.0, Quota.PER_DAY, quota_value=0)  # it names the day, and no day brings it
NO_CREDITS = HttpError(
    429,
    "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your "
    "project and billing.",
)
SPENDING_CAP = HttpError(
    429, "Your project has exceeded its monthly spending cap. Please go to AI Studio at https://ai.studio/spend"
)
BILLING_DISABLED = HttpError(
    403, "This API method requires billing to be enabled. Please enable billing, then retry.", reason="BILLING_DISABLED"
)
WRONG_PLACE = HttpError(400, "User location is not supported for the API use.", "FAILED_PRECONDITION")
IMAGE_PART = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
FUNCTION_PART = {"functionCall": {"name": "look_up", "args": {}}}


def with_parts(*parts: dict[str, Any]) -> dict[str, Any]:
    """`beside` that gives a candidate these parts; an empty one stands for what is there, such as the text."""
    return {"candidates": [{"content": {"parts": list(parts)}}]}


def label_of(behaviour: Behaviour) -> str:
    """The name a behaviour is counted under: `answer`, `finish:SAFETY`, `redirect:307`, `broken:hang`."""
    match behaviour:
        case Answer():
            return "answer"
        case Finish(reason=reason) | Blocked(reason=reason):
            return f"{behaviour.kind}:{reason}"
        case RateLimited(quota=quota):
            return f"rate_limited:{quota.name.lower()}"
        case HttpError(code=code):
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
