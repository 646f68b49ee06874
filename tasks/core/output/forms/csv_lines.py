"""The CSV: written, and read again to be compared."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About
from tasks.core.output.rows import ResultRow

AT_ONCE = 2000  # lines in memory where a CSV is read


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["CsvFile"]:
    yield CsvFile(draft.file, about)


class CsvFile:
    """A header, then lines. Of those that are given at once, either none is quoted without need, or all are."""

    def __init__(self, file: TextIO, about: About) -> None:
        self._line = about.line
        self._minimal, self._whole = (_writer(file, how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC))
        self._minimal.writerow(about.header)

    def write(self, rows: Sequence[ResultRow]) -> None:
        lines = [self._line(row) for row in rows]
        (self._whole if _has_lone_return(lines) else self._minimal).writerows(lines)

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


def _writer(file: TextIO, how: Any) -> Any:
    return csv.writer(file, quoting=how, lineterminator="\n")


def _has_lone_return(lines: Iterable[tuple[Any, ...]]) -> bool:
    """Python 3.12's csv does not quote a carriage return, which readers take for the end of a line."""
    return any("\r" in cell for line in lines for cell in line if cell.__class__ is str)
