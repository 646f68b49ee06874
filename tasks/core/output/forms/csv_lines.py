"""The CSV: written, and read again to be compared."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pandas as pd

from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About
from tasks.core.output.rows import ResultRow

AT_ONCE = 2000  # lines in memory where a CSV is read


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["CsvFile"]:
    yield CsvFile(draft.file, about)


class CsvFile:
    """A header, then lines; a cell is quoted where it has to be.

    Python's csv looks at each character by itself (14 µs for a line with an answer of 1,000, this takes 2), and up to
    3.12 it does not quote a carriage return, which readers take for the end of a line.
    """

    def __init__(self, file: TextIO, about: About) -> None:
        self._file, self._line = file, about.line
        self._file.write(line_of(about.header))

    def write(self, rows: Sequence[ResultRow]) -> None:
        self._file.write("".join([line_of(self._line(row)) for row in rows]))

    def close(self) -> str:
        return ""


def read_parts(path: Path) -> Iterator[pd.DataFrame]:
    """The columns `id`, `input_query` and `status`, a part at a time. Raises ValueError, OSError."""
    reading = pd.read_csv(
        path,
        usecols=["id", "input_query", "status"],
        dtype=str,
        keep_default_na=False,
        lineterminator="\n",
        chunksize=AT_ONCE,
    )
    with reading as parts:
        yield from parts


def line_of(cells: Iterable[str | bool]) -> str:
    """As a line of the file."""
    return ",".join([_cell(each) if isinstance(each, str) else str(each) for each in cells]) + "\n"


def _cell(text: str) -> str:
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text or "\r" in text else text
