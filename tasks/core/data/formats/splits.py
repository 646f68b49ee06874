"""Slices and sums of splits, such as `test[:100]+train`, over tables that are opened only where they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import datasets
from datasets import Dataset, ReadInstruction

from tasks.core.errors import InputError

_ENDLESS = 10**15  # rows, more than there are


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of a split. `stop` may lie beyond its end."""

    split: str
    start: int
    stop: int

    @property
    def is_endless(self) -> bool:
        return self.stop >= _ENDLESS


def names_in(spec: str) -> list[str]:
    """The splits that a specification names, in order."""
    return list(dict.fromkeys(part.split("[")[0].strip() for part in spec.split("+")))


def sliced(spec: str, open_split: Callable[[str], Dataset]) -> Dataset:
    """The rows that `spec` asks for.

    Raises:
        ValueError: it is no specification.
        InputError: it is `all`; and what `open_split` raises.
    """
    check_single(spec)
    instruction = ReadInstruction.from_spec(spec)
    tables = {name: open_split(name) for name in names_in(spec)}
    spans = instruction.to_absolute({name: len(table) for name, table in tables.items()})
    parts = [_part(tables[span.splitname], span.from_, span.to) for span in spans]
    if not parts:
        return next(iter(tables.values())).select(range(0))
    return datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]


def check_single(spec: str) -> None:
    """Raises InputError where it is `all`."""
    if spec.strip() == "all":
        raise InputError("--split 'all' stands for several; name a single split, or a sum such as train+test")


def spans_of(spec: str, counted: Callable[[str], int]) -> list[Span]:
    """The rows that `spec` asks for, without a look at the data where it says them itself: `test[:100]`, `test`.

    `counted`: the rows of a split, asked only where shares or last rows are meant.

    Raises:
        ValueError: it is no specification.
        InputError: it is `all`.
    """
    check_single(spec)
    instruction, names = ReadInstruction.from_spec(spec), names_in(spec)
    spans = _absolute(instruction, dict.fromkeys(names, _ENDLESS))
    if any(_is_relative(bound) for span in spans for bound in (span.start, span.stop)):
        spans = _absolute(instruction, {name: counted(name) for name in names})
    return spans


def first_rows(spec: str, limit: int | None) -> dict[str, int]:
    """How many first rows of each split are enough for the first `limit` rows of `spec`; no more than _ENDLESS."""
    found: dict[str, int] = {}
    for span in spans_of(spec, lambda _: _ENDLESS + 1):
        stop = span.stop if limit is None else min(span.stop, span.start + limit)
        found[span.split] = max(found.get(span.split, 0), stop)
    return found


def _absolute(instruction: ReadInstruction, rows: dict[str, int]) -> list[Span]:
    return [
        Span(each.splitname, each.from_ or 0, rows[each.splitname] if each.to is None else each.to)
        for each in instruction.to_absolute(rows)
    ]


def _is_relative(bound: int) -> bool:
    return _ENDLESS // 1000 < bound < _ENDLESS


def _part(table: Dataset, start: int | None, stop: int | None) -> Dataset:
    first, last = start or 0, len(table) if stop is None else stop
    if (first, last) == (0, len(table)):
        return table
    return table.select(range(first, last) or range(0))  # from the start: an end beyond the table is refused
