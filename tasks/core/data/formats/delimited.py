"""Rows of a CSV or TSV file, cells as they are written. A line with another number of cells than the header is refused.

Cells are never shifted, cut or filled up: which of them went wrong cannot be known, and each row costs money.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from tasks.core.data.formats.batch import Batch, gathered
from tasks.core.data.formats.compression import open_bytes
from tasks.core.data.formats.dialect import TAB, Dialect, dialect_of, is_blank
from tasks.core.data.formats.encodings import open_text
from tasks.core.data.formats.escaped import Malformed, escaped_records
from tasks.core.errors import InputError

_BLOCK = 1 << 20
_NAMES = {TAB: "tab"}
_MARK = "\ufeff"  # which programs have put there twice
# Programs that write tabs write quotes as they come, and one at the start of a cell would swallow the lines behind it.
_SWALLOWED = (
    'a cell begins with a quote and goes on over tabs and lines; if the quote is part of the text write it as """, '
    "else save the file as .csv"
)
type Record = tuple[int, list[str]]


def read_delimited(path: Path, encoding: str, delimiter: str | None) -> Iterator[Batch]:
    """The rows of a file; one batch without rows where there is a header alone.

    Raises:
        InputError: names the line, and what is wrong with it.
    """
    csv.field_size_limit(sys.maxsize)  # the library's own limit is 128 KB a cell
    dialect = dialect_of(path, encoding, delimiter)
    if _has_escaped_quotes(path) and not _fits(path, encoding, dialect):
        escaped = replace(dialect, escaped=True)
        dialect = escaped if _fits(path, encoding, escaped) else dialect
    yield from _batches(path, encoding, dialect)


def _has_escaped_quotes(path: Path) -> bool:
    tail = b""
    with open_bytes(path) as file:
        while block := file.read(_BLOCK):
            if b'\\"' in tail + block.replace(b"\0", b""):  # UTF-16 has zeros between
                return True
            tail = block[-1:]
    return False


def _fits(path: Path, encoding: str, dialect: Dialect) -> bool:
    try:
        for _ in _batches(path, encoding, dialect):
            pass
    except InputError:
        return False
    return True


def _batches(path: Path, encoding: str, dialect: Dialect) -> Iterator[Batch]:
    records = _records(path, encoding, dialect)
    header = next((cells for _, cells in records if not is_blank(cells)), [])
    names = _names(path, header)
    empty = True
    for rows in gathered(_whole(path, records, len(names), dialect)):
        yield Batch(dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows), text=True)
        empty = False
    if empty:
        yield Batch(dict.fromkeys(names, ()), 0, text=True)


def _names(path: Path, header: list[str]) -> list[str]:
    """The header; a column without a name is called as pandas does, which often wrote it."""
    marked = [name.lstrip(_MARK) if number == 0 else name for number, name in enumerate(header)]
    names = [name or f"Unnamed: {number}" for number, name in enumerate(marked)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path}: two columns of the header are called {twice!r}; rename one")
    return names


def _whole(path: Path, records: Iterator[Record], width: int, dialect: Dialect) -> Iterator[tuple[list[str], int]]:
    for line, cells in records:
        if is_blank(cells):
            continue
        if len(cells) == width:
            if dialect.delimiter == TAB and any(TAB in cell and "\n" in cell for cell in cells):
                raise InputError(f"{path}, line {line}: {_SWALLOWED}")
            yield cells, sum(map(len, cells))
        else:
            raise InputError(
                f"{path}, line {line}: {_counted(len(cells))}, but the header has {width}; "
                f"{_advice(len(cells), width, dialect)}"
            )


def _counted(cells: int) -> str:
    return f"{cells} cell" if cells == 1 else f"{cells} cells"


def _advice(found: int, width: int, dialect: Dialect) -> str:
    name = _NAMES.get(dialect.delimiter, dialect.delimiter)
    if found > width:
        return f'a cell with {name!r} in it must stand in quotes: "…"'
    return f"cells end at {name!r} here; name another with --delimiter, or correct the line"


def _records(path: Path, encoding: str, dialect: Dialect) -> Iterator[Record]:
    """(number of its first line, cells) of every record, the header first."""
    with open_text(path, encoding) as text:
        if dialect.announced:
            next(text, "")
        reader = escaped_records(text, dialect.delimiter) if dialect.escaped else _plain(text, dialect)
        try:
            for line, cells in reader:
                yield line + dialect.announced, cells
        except Malformed as error:
            raise InputError(f"{path}, line {error.line + dialect.announced}: {_explained(str(error))}") from None


def _plain(text: TextIO, dialect: Dialect) -> Iterator[Record]:
    reader = csv.reader(text, delimiter=dialect.delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise Malformed(start, str(error)) from None


def _explained(why: str) -> str:
    if "expected after" in why:
        return 'text follows the closing quote of a cell; a quote inside a cell is written twice: ""'
    return "a cell opens a quote that nothing closes" if "end of data" in why else why
