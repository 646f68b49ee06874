"""Reads what the API sends, as leniently as it can be read: an answer that was paid for is kept, whatever is beside it.

Every field may be missing or of another type than documented. Must not judge what it reads (outcomes.py).
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.records import ModelOutput, Usage
from tasks.core.text import one_line

type Json = dict[str, Any]

# Line breaks in strings are let pass; a float holds a number of any length, an int of more than 4,300 digits raises.
_DECODER = json.JSONDecoder(strict=False, parse_int=float)
_MOST_TOKENS = 2**31 - 1
_MOST_MESSAGE_CHARS = 5000
_RETRY_HEADERS = ("retry-after-ms", "retry-after", "date")
# What stands in a part beside its one datum: https://ai.google.dev/api/caching#Part
_NO_DATUM = frozenset({"text", "thought", "thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution"})
_VERSION = re.compile(r"(-\d{3}|@\w+)$")  # gemini-2.0-flash-001 is gemini-2.0-flash


def read_answer(body: str, model: str) -> ModelOutput:
    """The answer in the body of a 2xx; `model` is the one that was asked.

    Raises:
        MalformedAnswer: it is no JSON object.
        ApiError: it is an error all the same.
    """
    root = _parsed(body) if body else {}
    if not isinstance(root, dict):
        raise MalformedAnswer(f"JSON, and no object: {one_line(body, 100)}")
    if "error" in root and "candidates" not in root:
        raise read_refusal(int(_number(_object(root["error"]).get("code"))) or 500, "", body, {})
    candidate, feedback = _object(root.get("candidates")), _object(root.get("promptFeedback"))
    parts = [part for part in _objects(_object(candidate.get("content")).get("parts")) if not part.get("thought")]
    usage = _object(root.get("usageMetadata"))
    thoughts = _tokens(usage.get("thoughtsTokenCount"))
    text = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    finish_reason, block_reason = _word(candidate.get("finishReason")), _word(feedback.get("blockReason"))
    return ModelOutput(
        text=text,
        finish_reason=finish_reason,
        block_reason=block_reason,
        safety_ratings=_ratings((candidate or feedback).get("safetyRatings")),
        usage=Usage(_tokens(usage.get("promptTokenCount")), _tokens(usage.get("candidatesTokenCount")) + thoughts),
        blank=not (text or parts or finish_reason or block_reason),
        other_parts=", ".join(_data(part) for part in parts if not part.keys() <= _NO_DATUM),
        thoughts=bool(thoughts),
        model_version=_another_model(_word(root.get("modelVersion")), model),
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
    return ApiError(code, _word(error.get("status")), message, _objects(error.get("details")), told)


def _parsed(body: str) -> Any:
    """The JSON at the beginning of `body`; of a list of one, the one."""
    try:
        value, _ = _DECODER.raw_decode(body.lstrip("\ufeff \t\r\n"))
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(one_line(str(error))) from None
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _objects(value: Any) -> list[Json]:
    """The objects of a list, or the one that stands in its place."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _object(value: Any) -> Json:
    """An object, or the first of a list of them, or an empty one."""
    return value if isinstance(value, dict) else next(iter(_objects(value)), {})


def _word(value: Any) -> str:
    return one_line(value, 100) if isinstance(value, str) else ""


def _tokens(value: Any) -> int:
    return int(min(max(_number(value), 0.0), _MOST_TOKENS))


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if abs(number) < float("inf") else 0.0


def _ratings(value: Any) -> str:
    return ", ".join(f"{_word(r.get('category'))}={_word(r.get('probability'))}" for r in _objects(value))


def _data(part: Json) -> str:
    """What a part holds that is no text: `inlineData image/png`."""
    names = sorted(part.keys() - _NO_DATUM)
    return " ".join(_word(word) for name in names for word in (name, _object(part[name]).get("mimeType")) if word)


def _another_model(version: str, asked: str) -> str:
    """`version`, where it is not just the model asked for."""
    return "" if not version or version == asked or _name(version) == _name(asked) else version


def _name(model: str) -> str:
    return _VERSION.sub("", model.rpartition("/")[2])
