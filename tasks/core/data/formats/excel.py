"""Rows of an Excel workbook, cells as Excel shows them. One sheet is read; which of several is never guessed."""

import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.cell import coordinate_to_tuple, get_column_letter

from tasks.core.data.formats.batch import Batch, gathered
from tasks.core.data.formats.excel_cells import shown
from tasks.core.data.openpyxl_internals import place_in_book
from tasks.core.errors import InputError

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell [^>]*?ref="((\w+):\w+)"')
_BLOCK = 1 << 20
_LONGEST = 200  # bytes of an element that a block's end may cut
type Merged = dict[tuple[int, int], str]  # ranges by the row and column that their value is in


def read_excel(path: Path, split: str) -> Iterator[Batch]:
    """The rows of the workbook's only sheet with cells in it, or of the one called `split`. Hidden sheets are none.

    Raises:
        InputError: no workbook, several sheets, a formula that was never calculated, merged cells, or a cell beyond
            the header.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts of a workbook that hold no cells
        try:
            values = openpyxl.load_workbook(path, read_only=True, data_only=True)
            formulas = openpyxl.load_workbook(path, read_only=True)
        except zipfile.BadZipFile:
            raise InputError(
                f"{path} cannot be read: it is cut off, or no workbook of .xlsx; open it in Excel and save it as one"
            ) from None
        try:
            for sheet in (*values.worksheets, *formulas.worksheets):
                sheet.reset_dimensions()  # which some programs write wrong; cells beyond them would be left out
            name = _sheet(path, values, split)
            if name is not None:
                merged = _merged(path, values[name])
                yield from _batches(path, values[name].iter_rows(), formulas[name].iter_rows(), merged)
        finally:
            values.close()
            formulas.close()


def _sheet(path: Path, book: Any, split: str) -> str | None:
    shown_ones = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    filled = [s.title for s in shown_ones if any(c.value is not None for row in s.iter_rows() for c in row)]
    if len(filled) < 2:
        return filled[0] if filled else None
    called = [name for name in filled if name.casefold() == split.casefold()]
    if len(called) == 1:
        return str(called[0])
    raise InputError(f"{path} has several sheets ({', '.join(filled)}), and none is called {split!r}; keep one of them")


def _merged(path: Path, sheet: Any) -> Merged:
    """Which cells are part of another, by what openpyxl leaves out where it reads row by row."""
    found, held = dict[tuple[int, int], str](), b""
    with zipfile.ZipFile(path) as book, book.open(place_in_book(sheet)) as file:
        while block := file.read(_BLOCK):
            held = held[-_LONGEST:] + block
            found |= {coordinate_to_tuple(m[2].decode()): m[1].decode() for m in _MERGED.finditer(held)}
    return found


def _batches(path: Path, values: Iterator[Any], formulas: Iterator[Any], merged: Merged) -> Iterator[Batch]:
    rows = ((n, _cells(path, *each)) for n, each in enumerate(zip(values, formulas, strict=True), start=1))
    filled = ((number, cells) for number, cells in rows if any(cells))
    first, header = next(filled, (0, []))
    while header and not header[-1]:
        header.pop()
    if "" in header or len(set(header)) < len(header):
        raise InputError(f"{path}, row {first}: the header has a column without a name, or two of the same name")
    yield Batch(dict.fromkeys(header, ()), 0, text=True)
    fitted = ((_fitted(path, n, cells, len(header), merged), sum(map(len, cells))) for n, cells in filled)
    for held in gathered(fitted):
        yield Batch(dict(zip(header, zip(*held, strict=True), strict=True)), len(held), text=True)


def _fitted(path: Path, number: int, cells: list[str], width: int, merged: Merged) -> list[str]:
    if any(cells[width:]):
        raise InputError(f"{path}, row {number}: a cell stands beyond the last column of the header")
    for column, cell in enumerate(cells, start=1):
        if cell and (place := merged.get((number, column))):
            raise InputError(f"{path}, row {number}: {place} is one merged cell; unmerge it and fill in each cell")
    return (cells + [""] * width)[:width]


def _cells(path: Path, values: Any, formulas: Any) -> list[str]:
    for value, formula in zip(values, formulas, strict=True):
        # "str" without a value: calculated, and empty.
        if value.value is None and formula.value is not None and value.data_type != "str":
            place = f"{get_column_letter(formula.column)}{formula.row}"
            raise InputError(f"{path}: the formula in {place} has no value; open the file in Excel and save it")
    return [shown(cell) for cell in values]
