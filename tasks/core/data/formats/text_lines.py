"""Rows of a text file: every line is a row with one column, an empty one too."""

from collections.abc import Iterator
from pathlib import Path

from tasks.core.data.formats.batch import Batch, gathered
from tasks.core.data.formats.encodings import open_text

COLUMN = "text"  # as datasets calls it


def read_lines(path: Path, encoding: str) -> Iterator[Batch]:
    """The lines of a file, without their ends."""
    with open_text(path, encoding) as text:
        for lines in gathered((line.rstrip("\r\n"), len(line)) for line in text):
            yield Batch({COLUMN: lines}, len(lines), text=True)
