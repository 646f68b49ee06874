"""Reads what the API sends, as leniently as it can be read: an answer that was paid for is kept, whatever is beside it.

Every field may be missing or of another type than documented. Must not judge what it reads (outcomes.py).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tasks.core.details import STANDARD
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.gemini.lenient import Json, first_object, number, objects, word
from tasks.core.gemini.particulars import read_details, read_tier, read_usage
from tasks.core.records import ModelOutput
from tasks.core.text import one_line

# Line breaks in strings are let pass; a float holds a number of any length, an int of more than 4,300 digits raises.
_DECODER = json.JSONDecoder(strict=False, parse_int=float)
_MOST_MESSAGE_CHARS = 5000
_RETRY_HEADERS = ("retry-after-ms", "retry-after", "date")
# What stands in a part beside its one datum: https://ai.google.dev/api/caching#Part
_NO_DATUM = frozenset({"text", "thought", "thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution"})
_VERSION = re.compile(r"(-\d{3}|@\w+)$")  # gemini-2.0-flash-001 is gemini-2.0-flash


def read_answer(body: str, model: str, tier: str = STANDARD) -> ModelOutput:
    """The answer in the body of a 2xx; `model` is the one that was asked, in service tier `tier`.

    Raises:
        MalformedAnswer: it is no JSON object.
        ApiError: it is an error all the same.
    """
    root = _parsed(body) if body else {}
    if not isinstance(root, dict):
        raise MalformedAnswer(f"JSON, and no object: {one_line(body, 100)}")
    if "error" in root and "candidates" not in root:
        raise read_refusal(int(number(first_object(root["error"]).get("code"))) or 500, "", body, {})
    candidate, feedback = first_object(root.get("candidates")), first_object(root.get("promptFeedback"))
    parts = [part for part in objects(first_object(candidate.get("content")).get("parts")) if not part.get("thought")]
    told = first_object(root.get("usageMetadata"))
    usage, details = read_usage(told), read_details(root, candidate, feedback)
    text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    finish_reason, block_reason = word(candidate.get("finishReason")), word(feedback.get("blockReason"))
    return ModelOutput(
        text=text,
        finish_reason=finish_reason,
        block_reason=block_reason,
        safety_ratings=details.get("safety_ratings", ""),
        usage=usage,
        blank=not (text or parts or finish_reason or block_reason),
        other_parts=", ".join(_data(part) for part in parts if not part.keys() <= _NO_DATUM),
        thoughts=bool(usage.thought_tokens),
        model_version=_another_model(details.get("model_version", ""), model),
        service_tier=read_tier(told, tier),
        details=details,
    )


def read_refusal(code: int, reason: str, body: str, headers: Mapping[str, str]) -> ApiError:
    """The error in the body of a reply with status `code`; `reason` is HTTP's word for it."""
    told = {name: headers[name] for name in _RETRY_HEADERS if name in headers}
    try:
        root = _parsed(body)
    except MalformedAnswer:
        return ApiError(code, reason, one_line(body, _MOST_MESSAGE_CHARS), headers=told)
    inner = root.get("error", root) if isinstance(root, dict) else root
    error = inner if isinstance(inner, dict) else {"message": inner}
    message = one_line(str(error.get("message") or body), _MOST_MESSAGE_CHARS)
    return ApiError(code, word(error.get("status")), message, objects(error.get("details")), told)


def _parsed(body: str) -> Any:
    """The JSON at the beginning of `body`; of a list of one, the one."""
    try:
        value, _ = _DECODER.raw_decode(body.lstrip("\ufeff \t\r\n"))
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(one_line(str(error))) from None
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _data(part: Json) -> str:
    """What a part holds that is no text: `inlineData image/png`."""
    names = sorted(part.keys() - _NO_DATUM)
    kinds = ((name, first_object(part[name]).get("mimeType")) for name in names)
    return " ".join(word(text) for both in kinds for text in both if text)


def _another_model(version: str, asked: str) -> str:
    """`version`, where it is not just the model asked for."""
    return "" if not version or version == asked or _name(version) == _name(asked) else version


def _name(model: str) -> str:
    return _VERSION.sub("", model.rpartition("/")[2])
