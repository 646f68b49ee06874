"""Settings as people type them, in the form that the API takes: https://ai.google.dev/api/generate-content.

What the API calls a thing is its own affair: names that it does not know are its to refuse, and come back in its words.
"""

import re
from enum import StrEnum
from typing import Any

type Json = dict[str, Any]

_BUDGET, _LEVELS = re.compile(r"-1|\d{1,9}"), ("minimal", "low", "medium", "high", "xhigh")
_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")  # all that may be set for a text
_THRESHOLDS = ("BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF")
_CATEGORY = "HARM_CATEGORY_"


class Tool(StrEnum):
    """What a model may use by itself, on Google's side."""

    GOOGLE_SEARCH = "google_search"
    URL_CONTEXT = "url_context"
    CODE_EXECUTION = "code_execution"


def number(value: float | None) -> float | None:
    """0.0 is written 0, as most people write it in JSON: both are one setting with one key."""
    return int(value) if value is not None and value == int(value) else value


def thinking_word(value: Any) -> Any:
    """What --thinking takes: `512`, `-1`, `low`."""
    word = str(value).lower() if isinstance(value, str | int) else value
    if value is not None and not (isinstance(word, str) and (_BUDGET.fullmatch(word) or word in _LEVELS)):
        raise ValueError(f"neither a number of tokens nor a level ({', '.join(_LEVELS)})")
    return None if value is None else word


def thinking_config(word: str | None) -> Json:
    if word is None:
        return {}
    return {"thinkingLevel": word.upper()} if word in _LEVELS else {"thinkingBudget": int(word)}


def safety_word(value: str | None) -> str | None:
    """What --safety takes: `off`, or `HARASSMENT=BLOCK_ONLY_HIGH,HATE_SPEECH=OFF`."""
    safety_settings(value)
    return value or None


def safety_settings(word: str | None) -> list[Json]:
    """By the category's name, so that the order in which they were typed is no difference."""
    if not word:
        return []
    if word.lower() == "off":
        word = ",".join(f"{name}=OFF" for name in _HARMS)
    pairs = [part.strip().upper().partition("=") for part in word.split(",") if part.strip()]
    found = {name.strip().removeprefix(_CATEGORY): threshold.strip() for name, _, threshold in pairs}
    if len(found) < len(pairs):
        raise ValueError("a category is named twice")
    for name, threshold in found.items():
        if threshold not in _THRESHOLDS:
            raise ValueError(f"{name}={threshold}: no threshold; there are {', '.join(_THRESHOLDS)}")
    return [{"category": _CATEGORY + name, "threshold": found[name]} for name in sorted(found)]


def tool_list(tools: list[Tool]) -> list[Json]:
    """In one order, whatever that of the flag."""
    return [{camel(tool): {}} for tool in Tool if tool in tools]


def camel(name: str) -> str:
    """`safety_settings` as the API writes it: `safetySettings`."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)
