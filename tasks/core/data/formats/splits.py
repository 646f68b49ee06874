"""Slices and sums of splits, such as `test[:100]+train`, over tables that are opened only where they are asked for."""

from collections.abc import Callable

import datasets
from datasets import Dataset, ReadInstruction

from tasks.core.errors import InputError


def names_in(spec: str) -> list[str]:
    """The splits that a specification names, in order."""
    return list(dict.fromkeys(part.split("[")[0].strip() for part in spec.split("+")))


def sliced(spec: str, open_split: Callable[[str], Dataset]) -> Dataset:
    """The rows that `spec` asks for.

    Raises:
        ValueError: it is no specification.
        InputError: it is `all`; and what `open_split` raises.
    """
    if spec.strip() == "all":
        raise InputError("split 'all' stands for several; name a single split, or a sum such as train+test")
    instruction = ReadInstruction.from_spec(spec)
    tables = {name: open_split(name) for name in names_in(spec)}
    spans = instruction.to_absolute({name: len(table) for name, table in tables.items()})
    parts = [_part(tables[span.splitname], span.from_, span.to) for span in spans]
    if not parts:
        return next(iter(tables.values())).select(range(0))
    return datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]


def _part(table: Dataset, start: int | None, stop: int | None) -> Dataset:
    first, last = start or 0, len(table) if stop is None else stop
    if (first, last) == (0, len(table)):
        return table
    return table.select(range(first, last) or range(0))  # from the start: an end beyond the table is refused
