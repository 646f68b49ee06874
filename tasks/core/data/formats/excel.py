"""Rows of an Excel workbook, cells as Excel shows them. One sheet is read; which of several is never guessed."""

import datetime
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.cell import get_column_letter

from tasks.core.data.formats.batch import Batch, gathered
from tasks.core.errors import InputError

_LEADING_ZEROS = re.compile("0+")


def read_excel(path: Path, split: str) -> Iterator[Batch]:
    """The rows of the workbook's only sheet with cells in it, or of the one called `split`.

    Raises:
        InputError: several sheets, a formula that was never calculated, or a cell beyond the header.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts of a workbook that hold no cells
        values = openpyxl.load_workbook(path, read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(path, read_only=True)
        try:
            for sheet in (*values.worksheets, *formulas.worksheets):
                sheet.reset_dimensions()  # which some programs write wrong; cells beyond them would be left out
            name = _sheet(path, values, split)
            if name is not None:
                yield from _batches(path, values[name].iter_rows(), formulas[name].iter_rows())
        finally:
            values.close()
            formulas.close()


def _sheet(path: Path, book: Any, split: str) -> str | None:
    filled = [s.title for s in book.worksheets if any(c.value is not None for row in s.iter_rows() for c in row)]
    if len(filled) < 2:
        return filled[0] if filled else None
    if split in filled:
        return split
    raise InputError(f"{path} has several sheets ({', '.join(filled)}), and none is called {split!r}; keep one of them")


def _batches(path: Path, values: Iterator[Any], formulas: Iterator[Any]) -> Iterator[Batch]:
    rows = ((n, _cells(path, shown, meant)) for n, (shown, meant) in enumerate(zip(values, formulas, strict=True), 1))
    filled = ((number, cells) for number, cells in rows if any(cells))
    first, header = next(filled, (0, []))
    while header and not header[-1]:
        header.pop()
    if "" in header or len(set(header)) < len(header):
        raise InputError(f"{path}, row {first}: the header has a column without a name, or two of the same name")
    yield Batch(dict.fromkeys(header, ()), 0, text=True)
    for held in gathered((_fitted(path, n, cells, len(header)), sum(map(len, cells))) for n, cells in filled):
        yield Batch(dict(zip(header, zip(*held, strict=True), strict=True)), len(held), text=True)


def _fitted(path: Path, number: int, cells: list[str], width: int) -> list[str]:
    if any(cells[width:]):
        raise InputError(f"{path}, row {number}: a cell stands beyond the last column of the header")
    return (cells + [""] * width)[:width]


def _cells(path: Path, shown: Any, meant: Any) -> list[str]:
    for value, formula in zip(shown, meant, strict=True):
        if value.value is None and formula.value is not None:
            place = f"{get_column_letter(formula.column)}{formula.row}"
            raise InputError(f"{path}: the formula in {place} has no value; open the file in Excel and save it")
    return [_shown(cell) for cell in shown]


def _shown(cell: Any) -> str:
    """A cell's text: whole numbers without a point, dates as ISO 8601, TRUE and FALSE."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime) and not any((value.hour, value.minute, value.second, value.microsecond)):
        return value.date().isoformat()
    if isinstance(value, int) and _LEADING_ZEROS.fullmatch(cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
