"""Rows of a JSON file: an object a line, a list, objects one after another, or columns. Errors name their line.

What the file is, its first character and line say; the whole of it must then be that.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from tasks.core.data.formats.batch import Batch, gathered
from tasks.core.data.formats.encodings import open_text
from tasks.core.data.formats.json_columns import from_columns
from tasks.core.data.formats.json_stream import Source, listed
from tasks.core.data.formats.json_values import DECODER
from tasks.core.data.formats.suffixes import inner_suffix

_SPACE = " \t\r\n"
_LINE_ENDS = ("\n", "\r\n", "")
type Row = dict[str, Any]
type Sized = tuple[Row, int]
type Line = tuple[int, str]


def read_json(path: Path, encoding: str) -> Iterator[Batch]:
    """The rows of a file.

    Raises:
        InputError: names the line, and what is wrong with it; or the file is one object that is no table.
    """
    with open_text(path, encoding) as text:
        for rows in gathered(_rows(path, text)):
            names = dict.fromkeys(itertools.chain.from_iterable(rows))
            yield Batch({name: [row.get(name) for row in rows] for name in names}, len(rows))


def _rows(path: Path, text: TextIO) -> Iterator[Sized]:
    lines = ((number, line) for number, line in enumerate(text, start=1) if not line.isspace())
    first = next(lines, None)
    if first is None:
        return iter(())
    number, line = first
    if line.lstrip(_SPACE).startswith("["):
        return listed(Source(path, number), itertools.chain([line], text))
    if line.lstrip(_SPACE).startswith("{") and _goes_on(line):
        return _spread(Source(path, number), line + text.read())
    return _by_line(path, first, lines)


def _by_line(path: Path, first: Line, lines: Iterator[Line]) -> Iterator[Sized]:
    rows = list(Source(path, first[0]).values(first[1]))
    second = next(lines, None)
    if second is None and len(rows) == 1:
        return _table_or_row(path, *rows[0], lines=inner_suffix(path) != ".json")
    return itertools.chain(rows, _objects(path, itertools.chain([second] if second else [], lines)))


def _objects(path: Path, lines: Iterator[Line]) -> Iterator[Sized]:
    decode = DECODER.raw_decode
    for number, line in lines:
        try:
            row, end = decode(line)
        except (ValueError, RecursionError):
            row, end = None, 0
        # The usual line, at once; any other as if it stood alone, with all that may be said of it.
        usual = type(row) is dict and line[end:] in _LINE_ENDS and "\\u" not in line
        if usual:
            yield row, len(line)
        else:
            yield from Source(path, number).values(line)


def _table_or_row(path: Path, whole: Row, size: int, lines: bool) -> Iterator[Sized]:
    table = from_columns(path, whole, lines)
    rows = [whole] if table is None else table
    return ((row, size // len(rows)) for row in rows)


def _spread(source: Source, text: str) -> Iterator[Sized]:
    """Objects that go over several lines; one alone may be a table by columns."""
    values = source.values(text)
    first = next(values)
    second = next(values, None)
    if second is None:
        return _table_or_row(source.path, *first, lines=False)
    return itertools.chain([first, second], values)


def _goes_on(line: str) -> bool:
    """Whether the object that a line opens is not closed in it."""
    try:
        DECODER.raw_decode(line.lstrip(_SPACE))
    except json.JSONDecodeError as error:
        return not error.doc[error.pos :].strip(_SPACE)
    except (ValueError, RecursionError):
        return False
    return False
