"""The lines of the CSV: made of samples and results, written, and read again to be compared. Knows no file names."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import pandas as pd
from pandas.util import hash_pandas_object

from tasks.core.files.own_results import COLUMNS
from tasks.core.records import RowAnswer, Sample

AT_ONCE = 2000  # lines in memory where a CSV is read


class Reader(Protocol):
    """The rows of a data set, a span at a time."""

    def spans(self) -> Iterator[range]: ...
    def samples(self, span: range) -> Sequence[Sample]: ...


def frames(reader: Reader, results: Mapping[int, RowAnswer]) -> Iterator[pd.DataFrame]:
    """One line per sample, in the order of the data; `results` holds every row."""
    for span in reader.spans():
        lines = [_line(sample, results[sample.row]) for sample in reader.samples(span)]
        yield pd.DataFrame(lines, columns=COLUMNS)


def write_lines(file: TextIO, lines: Iterable[pd.DataFrame]) -> None:
    """A header, then `lines`."""
    pd.DataFrame(columns=COLUMNS).to_csv(file, index=False)
    for frame in lines:
        frame.to_csv(file, index=False, header=False, quoting=_quoting(frame))


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


def _line(sample: Sample, result: RowAnswer) -> tuple[Any, ...]:
    return sample.id, sample.text, result.has_image, result.response, result.status, result.error_message


def _quoting(frame: pd.DataFrame) -> Any:
    """Python 3.12's csv does not quote a lone carriage return, which readers take for the end of a line."""
    texts = frame[["id", "input_query", "response", "error_message"]]
    lone = any("\r" in str(cell) for column in texts for cell in texts[column])
    return csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL
