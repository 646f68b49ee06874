"""Tables that a program prints: neat on a terminal, columns beneath each other elsewhere. Decides nothing."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

type Cells = Sequence[str]


def table(columns: Cells, rows: Sequence[Cells], sides: str) -> "Iterator[str | Table]":
    """What is to be printed, one after the other. `sides`: `<` or `>` for each column, where its cells stand."""
    if not sys.stdout.isatty():
        yield from plain_lines(columns, rows, sides)
        return
    from rich.table import Table  # for a terminal alone

    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, side in zip(columns, sides, strict=True):
        shown.add_column(name, justify="left" if side == "<" else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    yield shown


def plain_lines(columns: Cells, rows: Sequence[Cells], sides: str) -> Iterator[str]:
    """See `table`."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        yield "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
