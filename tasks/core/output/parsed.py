"""Answers to a schema as typed values: its type in Arrow, and what of an answer is of that type. Judges no answer."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from tasks.core.config.generation import ResponseSchema
from tasks.core.config.response_schema import fields_of, target_of
from tasks.core.files.own_results import COLUMNS
from tasks.core.records import Kind, RowAnswer
from tasks.core.text import writable

PREFIX = "answer_"  # of a field's column, where the CSV has one of that name already


class Typed(NamedTuple):
    """A type, and a function that makes a value of it; None where it is another."""

    type: pa.DataType
    of: Callable[[Any], Any]


class Parsed:
    """The answers of a run with `schema`."""

    def __init__(self, schema: ResponseSchema) -> None:
        self._choices = schema.choices
        self._fields = [] if self._choices else fields_of(schema)
        self._typed = _typed(schema.document, schema.document, ())
        self.names = list(_free(self._fields))

    @property
    def type(self) -> pa.DataType:
        return self._typed.type

    def value(self, answer: RowAnswer) -> Any:
        """Of `type`; None where the answer is none, or was cut short."""
        return self._typed.of(self._read(answer))

    def cells(self, answer: RowAnswer) -> list[str]:
        """A text for each of `names`: a text as it is, nothing for null, anything else as JSON."""
        read = self._read(answer)
        found = read if isinstance(read, dict) else {}
        return [_cell(found.get(name)) for name in self._fields]

    def _read(self, answer: RowAnswer) -> Any:
        if answer.kind is not Kind.ANSWERED:
            return None
        try:
            return answer.response if self._choices else json.loads(answer.response)
        except (ValueError, RecursionError):  # kept from a run that asked for no schema
            return None


def _free(fields: list[str]) -> Iterator[str]:
    taken = {*COLUMNS}
    for field in fields:
        name = writable(field)
        while name in taken:
            name = PREFIX + name
        taken.add(name)
        yield name


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return writable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _typed(schema: Any, document: Any, within: tuple[str, ...]) -> Typed:
    """What has no one type, or goes on in itself, is JSON."""
    if not isinstance(schema, dict):
        return _JSON
    if ref := schema.get("$ref"):
        return _JSON if ref in within else _typed(target_of(ref, document), document, (*within, ref))
    others = [part for name in ("anyOf", "oneOf") for part in schema.get(name, []) if part != {"type": "null"}]
    if others:
        return _typed(others[0], document, within) if len(others) == 1 else _JSON
    kinds = schema.get("type")
    kinds = [kind for kind in kinds if kind != "null"] if isinstance(kinds, list) else [kinds]
    if kinds == ["array"]:
        return _list_of(_typed(schema.get("items"), document, within))
    if kinds == ["object"] and (parts := schema.get("properties")):
        return _struct_of({writable(name): (name, _typed(part, document, within)) for name, part in parts.items()})
    return _PLAIN.get(kinds[0], _JSON) if len(kinds) == 1 else _JSON


def _list_of(inner: Typed) -> Typed:
    return Typed(pa.list_(inner.type), lambda value: [*map(inner.of, value)] if isinstance(value, list) else None)


def _struct_of(parts: dict[str, tuple[str, Typed]]) -> Typed:
    def of(value: Any) -> Any:
        return {n: part.of(value.get(name)) for n, (name, part) in parts.items()} if isinstance(value, dict) else None

    return Typed(pa.struct([(name, part.type) for name, (_, part) in parts.items()]), of)


def _text(value: Any) -> str | None:
    return writable(value) if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    """As JSON Schema has it, 3.0 is one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value) if -(2**63) <= value < 2**63 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _json(value: Any) -> str | None:
    return None if value is None else writable(json.dumps(value, ensure_ascii=False))


_JSON = Typed(pa.string(), _json)
_PLAIN = {
    "string": Typed(pa.string(), _text),
    "integer": Typed(pa.int64(), _integer),
    "number": Typed(pa.float64(), _number),
    "boolean": Typed(pa.bool_(), _truth),
}
