"""How a CSV file is written: what stands between its cells, and how a quote inside a cell is marked."""

import csv
import itertools
from dataclasses import dataclass
from pathlib import Path

from tasks.core.data.formats.encodings import open_text
from tasks.core.data.formats.suffixes import inner_suffix

COMMA, TAB = ",", "\t"
NONE = "\x1f"  # stands in no text: the file has one column, and each line is a cell
_DELIMITERS = (COMMA, ";", TAB, "|")
_SAMPLE_LINES = 1000
_SAMPLE_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Dialect:
    """`announced`: the first line is Excel's `sep=;`, not the header. `escaped`: a quote in a cell is `\\"`."""

    delimiter: str
    announced: bool = False
    escaped: bool = False


def dialect_of(path: Path, encoding: str, delimiter: str | None) -> Dialect:
    """The dialect of a file. The header decides; where it could be read in two ways, the first lines do."""
    lines = _sample(path, encoding)
    announced = bool(lines) and lines[0].rstrip("\r\n").lower().startswith("sep=") and len(lines[0].rstrip("\r\n")) == 5
    if delimiter:
        return Dialect(delimiter, announced)
    if announced:
        return Dialect(lines[0][4], announced)
    order = _DELIMITERS if inner_suffix(path) != ".tsv" else (TAB, *_DELIMITERS)
    fits = {each: _fit(lines, each) for each in order}
    best = max(order, key=lambda each: fits[each])  # the first of equals
    return Dialect(best if fits[best] else NONE, announced)


def is_blank(cells: list[str]) -> bool:
    """Whether a line is without a cell, or has blanks alone; `""` is an empty cell."""
    return not cells or (len(cells) == 1 and cells[0].isspace())


def _sample(path: Path, encoding: str) -> list[str]:
    with open_text(path, encoding) as text:
        lines, chars = [], 0
        for line in itertools.islice(text, _SAMPLE_LINES):
            lines.append(line)
            chars += len(line)
            if chars > _SAMPLE_CHARS:
                break
        return lines


def _fit(lines: list[str], delimiter: str) -> float:
    """The share of records with as many cells as the header; 0 where the header has only one."""
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if not is_blank(cells)]
    except csv.Error:
        widths = [len(line.split(delimiter)) for line in lines]
    if not widths or widths[0] < 2:
        return 0.0
    return widths.count(widths[0]) / len(widths)
