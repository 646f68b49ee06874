"""An answer as columns, and back. Runs nothing."""

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from tasks.core.records import Kind, RowAnswer

_FIELDS = tuple(field.name for field in fields(RowAnswer))
_APART = ("response", "details")  # columns of `response`
STORED = tuple(name for name in _FIELDS if name not in _APART)  # columns of `answer`
stored = attrgetter(*STORED)
TURN = "(attempt.turn << 40) + answer.place"  # newest attempt first, then as they were read
_KINDS = {kind.value: kind for kind in Kind}


def columns(row: str = "answer.row", sample_id: str = "answer.id", text: bool = True) -> str:
    """What `answer_of` makes a RowAnswer of. `row`, `sample_id`: of the run where they are not the attempt's own."""
    apart = {name: f"coalesce(response.{name}, '')" if text else "''" for name in _APART}
    special = {"row": row, "id": sample_id, **apart}
    return ", ".join(special.get(name, f"answer.{name}") for name in _FIELDS)


def answer_of(values: Iterable[Any]) -> RowAnswer:
    row, sample_id, key, kind, has_image, *rest = values
    return RowAnswer(row, sample_id, key, _KINDS[kind], bool(has_image), *rest)


NAMED_ANSWERS = f"""
SELECT attempt.name, {columns()} FROM answer
JOIN attempt ON answer.attempt = attempt.number LEFT JOIN response USING (place)
"""
NEWEST_FIRST = "ORDER BY attempt.turn, answer.place"
