"""Builds the JSON bodies of the API. Must not send them, count them or choose among them.

Bodies are those of real answers and error reports; see also https://ai.google.dev/api/generate-content.
"""

import binascii
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import zip_longest
from typing import Any

from deployments.emulator.behaviours import Answer, Blocked, Finish, HttpError, Quota, RateLimited, Told
from deployments.emulator.wire import Call

type Body = dict[str, Any]

_CHARS_PER_TOKEN = 4
_TOKENS_PER_IMAGE = 258  # one tile: https://ai.google.dev/gemini-api/docs/tokens
_RPC = "type.googleapis.com/google.rpc."
_SERVICE = "generativelanguage.googleapis.com"
_HARM_CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
_REASONS_WITH_RATINGS = frozenset({"SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"})
_STATUS_AND_MESSAGE = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: (
        "NOT_FOUND",
        "models/{model} is not found for API version {version}, or is not supported for generateContent. "
        "Call ListModels to see the list of available models and their supported methods.",
    ),
    408: ("DEADLINE_EXCEEDED", "Request timed out."),
    409: ("ABORTED", "The operation was aborted."),
    425: ("UNKNOWN", "Too early."),
    429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    499: ("CANCELLED", "The operation was cancelled."),
    500: (
        "INTERNAL",
        "An internal error has occurred. Please retry or report in "
        "https://developers.generativeai.google/guide/troubleshooting",
    ),
    502: ("UNAVAILABLE", "Bad gateway."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    529: ("UNAVAILABLE", "Site is overloaded."),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply. `cached_tokens` are among the prompt's."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0


def usage_of(call: Call, text: str | None) -> Usage:
    """Plausible, not exact: four characters a token, 258 tokens an image."""
    words = _tokens(call.prompt) + _tokens(call.system or "")
    return Usage(words + (_TOKENS_PER_IMAGE if call.image else 0), _tokens(text or ""), call.cached_tokens)


def text_of(behaviour: Answer | Finish, answer: str) -> str | None:
    """The text that `behaviour` gives back, where `answer` is the full answer to the request."""
    if behaviour.text is not None:
        return behaviour.text
    if isinstance(behaviour, Answer):
        return answer
    return answer[: len(answer) // 2] if behaviour.reason == "MAX_TOKENS" else None


def candidate_body(call: Call, behaviour: Answer | Finish, text: str | None, response_id: str) -> Body:
    """The body of a 200 with one candidate; without `content` when `text` is None."""
    reason = behaviour.reason if isinstance(behaviour, Finish) else "STOP"
    candidate: Body = {"finishReason": reason, "index": 0}
    if text is not None:
        candidate["content"] = {"parts": [{"text": text}], "role": "model"}
    if reason in _REASONS_WITH_RATINGS:
        candidate["safetyRatings"] = _safety_ratings()
    if reason == "CONTINUATION":
        candidate["continuationToken"] = binascii.b2a_base64(response_id.encode(), newline=False).decode()
    body = {"candidates": [candidate]} | _tail(call, text, response_id)
    return _merged(body, behaviour.beside) if behaviour.beside else body


def blocked_body(call: Call, behaviour: Blocked, response_id: str) -> Body:
    """The body of a 200 whose prompt was refused: no candidates."""
    feedback = {"blockReason": behaviour.reason, "safetyRatings": _safety_ratings()}
    return {"promptFeedback": feedback} | _tail(call, None, response_id)


def error_body(error: HttpError, model: str, version: str) -> Body:
    """The body of an HTTP error, with an ErrorInfo if the error has a reason, and a RetryInfo if that is to be told."""
    status, message = _STATUS_AND_MESSAGE.get(error.code, ("UNKNOWN", "Unknown error."))
    message = (error.message or message).replace("{model}", model).replace("{version}", version)
    delay = _delay_in_body(error)
    details = delay.details
    if error.reason:
        info = {"reason": error.reason, "domain": "googleapis.com", "metadata": {"service": _SERVICE}}
        localized = {"locale": "en-US", "message": message}
        details = [_detail("ErrorInfo", info), _detail("LocalizedMessage", localized), *details]
    body: Body = {"code": error.code, "message": message + delay.sentence, "status": error.status or status}
    return {"error": body | ({"details": details} if details else {})}


def rate_limited_body(limited: RateLimited, model: str) -> Body:
    """The body of a 429: what is used up and when to come back, as far as `limited` says."""
    details: list[Body] = []
    message = "You exceeded your current quota, please check your plan and billing details."
    if limited.quota is not Quota.UNNAMED:
        violation = _violation(limited, model)
        details.append(_detail("QuotaFailure", {"violations": [violation]}))
        message += f"\n* Quota exceeded for metric: {violation['quotaMetric']}, limit: {limited.quota_value}"
    delay = _delay_in_body(limited)
    details += delay.details
    body: Body = {"code": limited.code, "message": message + delay.sentence, "status": "RESOURCE_EXHAUSTED"}
    return {"error": body | ({"details": details} if details else {})}


@dataclass(frozen=True, slots=True)
class _Delay:
    """What a body says of how long to wait."""

    details: list[Body]
    sentence: str


def _delay_in_body(error: HttpError | RateLimited) -> _Delay:
    seconds = error.retry_delay_seconds
    if seconds is None:
        return _Delay([], "")
    whole = {"seconds": int(seconds)} | ({"nanos": round(seconds % 1 * 1e9)} if seconds % 1 else {})
    forms = {Told.RETRY_INFO: _duration(seconds), Told.OBJECT: whole}
    details = [_detail("RetryInfo", {"retryDelay": forms[told]}) for told in error.told if told in forms]
    words = _duration(seconds) if seconds >= 1 else f"{seconds * 1000:g}ms"
    return _Delay(details, f"\nPlease retry in {words}." if Told.MESSAGE in error.told else "")


def delay_headers(error: HttpError | RateLimited, now: datetime) -> dict[str, str]:
    """What the headers of an error say of how long to wait; whole seconds round up."""
    exact = error.retry_delay_seconds
    if exact is None:
        return {}
    headers: dict[str, str] = {}
    if Told.SECONDS in error.told:
        headers["Retry-After"] = str(math.ceil(exact))
    if Told.DATE in error.told:
        then = now + timedelta(seconds=math.ceil(exact))
        headers |= {"Retry-After": format_datetime(then, usegmt=True), "Date": format_datetime(now, usegmt=True)}
    if Told.MILLISECONDS in error.told:
        headers["retry-after-ms"] = f"{exact * 1000:.0f}"
    return headers


def model_body(name: str) -> Body:
    """An entry of `models.list`. `name` has no `models/` before it."""
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name.replace("-", " ").title(),
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
    }


def _tail(call: Call, text: str | None, response_id: str) -> Body:
    usage = usage_of(call, text)
    metadata: Body = {
        "promptTokenCount": usage.prompt_tokens,
        "totalTokenCount": usage.prompt_tokens + usage.output_tokens,
    }
    if text is not None:
        metadata["candidatesTokenCount"] = usage.output_tokens
    if usage.cached_tokens:
        metadata["cachedContentTokenCount"] = usage.cached_tokens
    if call.tier:
        metadata["serviceTier"] = call.tier
    return {"usageMetadata": metadata, "modelVersion": call.model, "responseId": response_id}


def _merged(body: Any, beside: Any) -> Any:
    """Objects key by key, lists element by element; what is neither is replaced."""
    if isinstance(body, dict) and isinstance(beside, dict):
        return body | {key: _merged(body.get(key), value) for key, value in beside.items()}
    if isinstance(body, list) and isinstance(beside, list):
        missing: Body = {}
        return [_merged(one, other) for one, other in zip_longest(body, beside, fillvalue=missing)]
    return beside


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARS_PER_TOKEN)


def _safety_ratings() -> list[Body]:
    ratings: list[Body] = [
        {"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"} for name in _HARM_CATEGORIES
    ]
    ratings[1] |= {"probability": "HIGH", "blocked": True}
    return ratings


def _violation(limited: RateLimited, model: str) -> Body:
    return {
        "quotaMetric": f"{_SERVICE}/generate_content_free_tier_requests",
        "quotaId": limited.quota.value,
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": str(limited.quota_value),
    }


def _detail(kind: str, fields: Body) -> Body:
    return {"@type": _RPC + kind} | fields


def _duration(seconds: float) -> str:
    """A protobuf Duration: `26s`, `1.5s`; nine decimals at most."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
