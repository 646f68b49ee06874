"""The CSV for Excel: with the mark by which it knows UTF-8, and without anything that it would calculate."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About
from tasks.core.output.forms.excel import MOST_CELL_CHARS, MOST_ROWS, harmless, length
from tasks.core.output.rows import ResultRow
from tasks.core.text import counted


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["ExcelCsvFile"]:
    yield ExcelCsvFile(draft.file, about)


class ExcelCsvFile:
    """All that the CSV has; Excel may not show all of it."""

    def __init__(self, file: TextIO, about: About) -> None:
        self._line = about.line
        file.write("\ufeff")
        self._writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._writer.writerow([harmless(name) for name in about.header])
        self._lines, self._too_long = 1, 0

    def write(self, rows: Sequence[ResultRow]) -> None:
        for row in rows:
            line = [harmless(str(cell)) for cell in self._line(row)]
            self._too_long += sum(length(cell) > MOST_CELL_CHARS for cell in line)
            self._writer.writerow(line)
        self._lines += len(rows)

    def close(self) -> str:
        said = []
        if self._too_long:
            said.append(f"{counted(self._too_long, 'cell')} longer than {MOST_CELL_CHARS:,} characters")
        if self._lines > MOST_ROWS:
            said.append(f"lines beyond the first {MOST_ROWS:,}")
        return f"Excel does not show all of the .excel.csv: {', '.join(said)}" if said else ""
