"""Values of JSON as leniently as they can be read: each may be missing, or of another type than documented."""

import json
from typing import Any

from tasks.core.errors import MalformedAnswer
from tasks.core.text import one_line

type Json = dict[str, Any]

_MOST_TOKENS = 2**31 - 1


def root_object(body: str) -> Json:
    """Raises MalformedAnswer where `body` is no JSON object."""
    try:
        root = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(one_line(str(error))) from None
    if not isinstance(root, dict):
        raise MalformedAnswer(f"JSON, and no object: {one_line(body, 100)}")
    return root


def objects(value: Any) -> list[Json]:
    """The objects of a list, or the one that stands in its place."""
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def first_object(value: Any) -> Json:
    """An object, or the first of a list of them, or an empty one."""
    return value if isinstance(value, dict) else next(iter(objects(value)), {})


def word(value: Any, most: int = 100) -> str:
    return one_line(value, most) if isinstance(value, str) else ""


def tokens(value: Any) -> int:
    return int(min(max(number(value), 0.0), _MOST_TOKENS))


def number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return 0.0
    return found if abs(found) < float("inf") else 0.0
