"""Rows on their way from a file to Arrow: some at a time, by column."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ROWS = 10_000
CHARS = 16_000_000  # a column of a batch must stay far below 2 GB


@dataclass(frozen=True, slots=True)
class Batch:
    """`rows` cells of each column. `text`: every cell is text, with nothing to convert."""

    columns: dict[str, Sequence[Any]]
    rows: int
    text: bool = False


def gathered[R](rows: Iterable[tuple[R, int]]) -> Iterator[list[R]]:
    """Rows, each with its size in characters, in lists that fit in memory."""
    held: list[R] = []
    chars = 0
    for row, size in rows:
        held.append(row)
        chars += size
        if len(held) >= ROWS or chars >= CHARS:
            yield held
            held, chars = [], 0
    if held:
        yield held
