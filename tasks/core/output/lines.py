"""The lines of the CSV: made of samples and results, written, and read again to be compared. Knows no file names."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Protocol, TextIO

import pandas as pd
from pandas.util import hash_pandas_object

from tasks.core.files.own_results import COLUMNS
from tasks.core.records import RowAnswer, Sample, unsent

AT_ONCE = 2000  # lines in memory where a CSV is read


class Answers(Protocol):
    """The answers to the rows of a data set, a span at a time."""

    def of_rows(self, span: range) -> Mapping[int, RowAnswer]: ...


class Reader(Protocol):
    """The rows of a data set, a span at a time."""

    def spans(self) -> Iterator[range]: ...
    def samples(self, span: range) -> Sequence[Sample]: ...


type Line = tuple[str, str, bool, str, str, str]  # COLUMNS


def csv_lines(reader: Reader, answers: Answers, text_of: Callable[[Sample], str]) -> Iterator[Line]:
    """One line per sample, in the order of the data; a row without an answer says so. `text_of`: its input_query."""
    for span in reader.spans():
        found = answers.of_rows(span)
        for sample in reader.samples(span):
            yield _line(sample, text_of(sample), found.get(sample.row) or unsent(sample.row))


def write_lines(file: TextIO, lines: Iterable[Line]) -> None:
    """A header, then `lines`."""
    minimal, whole = (
        csv.writer(file, quoting=how, lineterminator="\n") for how in (csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC)
    )
    minimal.writerow(COLUMNS)
    for some in batched(lines, AT_ONCE):
        (whole if _has_lone_return(some) else minimal).writerows(some)


def answers(path: Path) -> "pd.Series[int]":
    """How often each answered row stands in a CSV, by a hash of its id and its prompt: 8 bytes a row, however long.

    Raises:
        ValueError, OSError: it cannot be read as a result.
    """
    read = pd.read_csv(
        path,
        usecols=["id", "input_query", "status"],
        dtype=str,
        keep_default_na=False,
        lineterminator="\n",
        chunksize=AT_ONCE,
    )
    with read as parts:
        hashes = [
            hash_pandas_object(part.loc[part["status"] == "success", ["id", "input_query"]], index=False)
            for part in parts
        ]
    return pd.concat(hashes).value_counts() if hashes else pd.Series(dtype=int)


def missing(there: "pd.Series[int]", here: "pd.Series[int]") -> int:
    """How many of the answers `there` are not `here`."""
    return int((there - here.reindex(there.index, fill_value=0)).clip(lower=0).sum())


def _line(sample: Sample, text: str, answer: RowAnswer) -> Line:
    return sample.id, text, answer.has_image, answer.response, answer.status, answer.error_message


def _has_lone_return(lines: Iterable[Line]) -> bool:
    """Python 3.12's csv does not quote a carriage return, which readers take for the end of a line."""
    return any("\r" in cell for line in lines for cell in line if cell.__class__ is str)
