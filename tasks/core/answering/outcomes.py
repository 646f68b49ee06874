"""Says what became of one request: an answer or an exception in, an Outcome out. Sends nothing, waits for nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tasks.core.answering.refusals import ACCOUNT, refused_by, violations
from tasks.core.answering.retry_delay import retry_delay_seconds
from tasks.core.errors import ApiError, ConnectionLost, MalformedAnswer, MediaError, StopReason
from tasks.core.records import Kind, ModelOutput, Outcome
from tasks.core.text import one_line, writable

# https://ai.google.dev/api/generate-content#FinishReason: the answer was withheld.
BLOCKING = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY"}
    | {"IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
# Empty for no reason that lies in the prompt: the next answer may have a text.
_RETRYABLE_EMPTINESS = frozenset(
    {"", "FINISH_REASON_UNSPECIFIED", "STOP", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "UNEXPECTED_TOOL_CALL"}
    | {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"}
)
TRIES_AFTER_EMPTY = 2
_THOUGHT_ALL_AWAY = "all tokens went into thinking: raise maxOutputTokens or lower the thinking budget"
_BUSY_CODES = frozenset({429, 529})
_RETRYABLE_CODES = frozenset({409, 425, 499})  # in conflict, too early, cancelled on the other side


def outcome_of(output: ModelOutput) -> Outcome:
    """What an answer of the API amounts to."""
    outcome = partial(
        Outcome,
        usage=output.usage,
        answered_by=output.model_version,
        service_tier=output.service_tier,
        details=output.details,
    )
    text = writable(output.text)
    if output.blank:
        return outcome(Kind.SERVER_ERROR, detail="the API sent an empty answer", maybe_billed=True)
    if output.block_reason and not text:
        return outcome(Kind.BLOCKED, detail=_reasons("block_reason", output.block_reason, output))
    reason = _reasons("finish_reason", output.finish_reason or "none", output)
    if output.finish_reason in BLOCKING:
        return outcome(Kind.BLOCKED, text, reason)
    if not text:
        return _empty(output, reason, outcome)
    dropped = f"dropped beside the text: {output.other_parts}" if output.other_parts else ""
    if output.finish_reason not in ("STOP", ""):
        return outcome(Kind.TRUNCATED, text, f"{reason}; {dropped}" if dropped else reason)
    return outcome(Kind.ANSWERED, text, dropped)


def outcome_of_error(error: Exception, timeout_seconds: float) -> Outcome:
    """What a failed call amounts to; an unknown exception counts as a network error, never as a lost row."""
    if isinstance(error, ApiError):
        return _outcome_of_refusal(error)
    if isinstance(error, TimeoutError):
        return Outcome(Kind.TIMEOUT, detail=f"no answer within {timeout_seconds:g} s", maybe_billed=True)
    if isinstance(error, MediaError):
        return Outcome(Kind.IMAGE, detail=str(error))
    if isinstance(error, MalformedAnswer):
        return Outcome(Kind.SERVER_ERROR, detail=f"the answer cannot be read: {error}", maybe_billed=True)
    lost = isinstance(error, ConnectionLost)
    return Outcome(Kind.NETWORK, detail=str(error) or type(error).__name__, maybe_billed=lost)


def _empty(output: ModelOutput, reason: str, outcome: Callable[..., Outcome]) -> Outcome:
    if output.finish_reason == "MAX_TOKENS" and output.thoughts:
        return outcome(Kind.EMPTY, detail=f"{reason}: {_THOUGHT_ALL_AWAY}")
    came = f", in place of a text: {output.other_parts}" if output.other_parts else ""
    again = TRIES_AFTER_EMPTY if output.finish_reason in _RETRYABLE_EMPTINESS else None
    return outcome(Kind.EMPTY, detail=reason + came, again=again)


def _reasons(name: str, reason: str, output: ModelOutput) -> str:
    ratings = f", safety_ratings: {output.safety_ratings}" if output.safety_ratings else ""
    return f"{name} {reason}{ratings}"


def _outcome_of_refusal(error: ApiError) -> Outcome:
    detail = one_line(f"{error.code} {error.status} {error.message}")
    kind, refused = _kind(error), refused_by(error)
    if kind.retryable and refused not in ACCOUNT:
        return Outcome(
            kind,
            detail=detail,
            retry_delay_seconds=retry_delay_seconds(error),
            daily_quota=kind is Kind.RATE_LIMIT and _is_daily(error.details),
            for_all_rows=refused is not None,
            refused=refused or StopReason.REFUSED,
        )
    # A row that meets an empty account is as good as before once the account is filled.
    kind = Kind.RATE_LIMIT if refused in ACCOUNT else kind
    return Outcome(kind, detail=detail, for_all_rows=refused is not None, refused=refused or StopReason.REFUSED)


def _kind(error: ApiError) -> Kind:
    if error.code in _BUSY_CODES or (error.code >= 500 and error.status == "RESOURCE_EXHAUSTED"):
        return Kind.RATE_LIMIT
    if error.code == 408:
        return Kind.TIMEOUT
    if 300 <= error.code < 400:  # of a wrong base URL, or of a login page that has come between
        return Kind.NETWORK
    return Kind.SERVER_ERROR if error.code >= 500 or error.code in _RETRYABLE_CODES else Kind.INVALID_REQUEST


def _is_daily(details: list[dict[str, Any]]) -> bool:
    return any("PerDay" in str(v.get("quotaId", "") if isinstance(v, dict) else v) for v in violations(details))
