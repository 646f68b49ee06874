"""Values of JSON as they are written: numbers digit for digit, no half of a character pair."""

import json
import re
from json.encoder import encode_basestring
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")


class Number(str):
    """A number's own digits: `1e5`, `1.50`, `12345678901234567890123`."""

    __slots__ = ()


class _Twice(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in an object")
    return found


DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_object)


def as_text(value: Any) -> str | None:
    """A value as it goes out: text without its quotes, all else as JSON; None for null."""
    if value is None or type(value) is str:
        return value
    return as_json(value)


def as_json(value: Any, indent: int | None = None, level: int = 0) -> str:
    """A value as JSON, spaced as Python does, letters and digits as they are; what JSON has none of as its text."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        parts = [f"{encode_basestring(str(k))}: {as_json(v, indent, level + 1)}" for k, v in value.items()]
        return _bracketed("{", parts, "}", indent, level)
    if isinstance(value, list | tuple):
        return _bracketed("[", [as_json(inner, indent, level + 1) for inner in value], "]", indent, level)
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(encode_basestring(str(value)))


def _bracketed(opening: str, parts: list[str], closing: str, indent: int | None, level: int) -> str:
    if indent is None or not parts:
        return opening + ", ".join(parts) + closing
    ends = "\n" + " " * (indent * level)
    start = ends + " " * indent
    return opening + start + f",{start}".join(parts) + ends + closing


def without_halves(value: Any) -> Any:
    """`value` with U+FFFD for each half of a surrogate pair, which no encoding can carry."""
    if isinstance(value, str):
        return value if isinstance(value, Number) else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {without_halves(k): without_halves(v) for k, v in value.items()}
    return [without_halves(v) for v in value] if isinstance(value, list) else value
