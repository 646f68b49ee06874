"""Says what became of one request: an answer or an exception in, an Outcome out. Sends nothing, waits for nothing."""

import re
from typing import Any

from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.records import Kind, ModelOutput, Outcome

# https://ai.google.dev/api/generate-content#FinishReason: the answer was withheld.
BLOCKING = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"}
    | {"IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_PASSING_CODES = {408: Kind.TIMEOUT, 429: Kind.RATE_LIMIT}


def outcome_of(output: ModelOutput) -> Outcome:
    """What an answer of the API amounts to."""
    text = _writable(output.text)
    if output.blank:
        return Outcome(Kind.SERVER_ERROR, detail="the API sent an empty answer")
    if output.block_reason:
        return Outcome(Kind.BLOCKED, detail=_reasons("block_reason", output.block_reason, output), usage=output.usage)
    reason = _reasons("finish_reason", output.finish_reason or "none", output)
    if output.finish_reason in BLOCKING:
        return Outcome(Kind.BLOCKED, text, reason, output.usage)
    if not text:
        return Outcome(Kind.EMPTY, detail=reason, usage=output.usage)
    if output.finish_reason not in ("STOP", ""):
        return Outcome(Kind.TRUNCATED, text, reason, output.usage)
    return Outcome(Kind.ANSWERED, text, usage=output.usage)


def outcome_of_error(error: Exception, timeout_seconds: float) -> Outcome:
    """What a failed call amounts to; an unknown exception counts as a network error, never as a lost row."""
    if isinstance(error, ApiError):
        return _outcome_of_refusal(error)
    if isinstance(error, TimeoutError):
        return Outcome(Kind.TIMEOUT, detail=f"no answer within {timeout_seconds:g} s")
    if isinstance(error, MalformedAnswer):
        return Outcome(Kind.SERVER_ERROR, detail=f"the answer cannot be read: {error}")
    return Outcome(Kind.NETWORK, detail=str(error) or type(error).__name__)


def _reasons(name: str, reason: str, output: ModelOutput) -> str:
    ratings = f", safety_ratings: {output.safety_ratings}" if output.safety_ratings else ""
    return f"{name} {reason}{ratings}"


def _writable(text: str) -> str:
    """Half a surrogate pair, which JSON can carry, cannot be written to the CSV."""
    return text.encode("utf-8", "replace").decode()


def _outcome_of_refusal(error: ApiError) -> Outcome:
    detail = _writable(" ".join(f"{error.code} {error.status} {error.message}".split()))
    if error.code in _PASSING_CODES or error.code >= 500:
        return Outcome(
            _PASSING_CODES.get(error.code, Kind.SERVER_ERROR),
            detail=detail,
            retry_delay_seconds=_retry_delay_seconds(error.details),
            daily_quota=error.code == 429 and _is_daily(error.details),
        )
    if 300 <= error.code < 400:  # a redirect: of a wrong base URL, or of a login page that has come between
        return Outcome(Kind.NETWORK, detail=detail, run_level=True)
    return Outcome(Kind.INVALID_REQUEST, detail=detail, run_level=_concerns_every_request(error))


def _concerns_every_request(error: ApiError) -> bool:
    """A refused key, project, place or model, not a refused prompt."""
    reasons = {str(detail.get("reason")) for detail in error.details}
    return (
        error.code in (401, 403, 404)
        or error.status == "FAILED_PRECONDITION"
        or bool(reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"})
    )


def _retry_delay_seconds(details: list[dict[str, Any]]) -> float | None:
    """RetryInfo's `retryDelay`, such as `26s` or `0.5s` (a google.protobuf.Duration)."""
    for detail in details:
        if match := re.fullmatch(r"(\d+(?:\.\d+)?)s", str(detail.get("retryDelay", ""))):
            return float(match[1])
    return None


def _is_daily(details: list[dict[str, Any]]) -> bool:
    violations = [violation for detail in details for violation in _list(detail.get("violations"))]
    return any("PerDay" in str(v.get("quotaId", "") if isinstance(v, dict) else v) for v in violations)


def _list(value: Any) -> list[Any]:
    """What the API sends where a list belongs need not be one."""
    return value if isinstance(value, list) else [value] if value else []
