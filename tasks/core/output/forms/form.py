"""What every form of a result has, and which of them can be compared by their answers."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

import pandas as pd
from pandas.util import hash_pandas_object

from tasks.core.config.groups.result import ResultFormat
from tasks.core.config.parameters import RunConfig
from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About
from tasks.core.output.forms import csv_lines, excel_csv, json_lines, parquet, workbook
from tasks.core.output.rows import ResultRow


class OpenFile(Protocol):
    """A file of a result under way."""

    def write(self, rows: Sequence[ResultRow]) -> None:
        """Raises OSError."""

    def close(self) -> str:
        """Finish it; returns what of the result it cannot hold, in words, if there is any. Raises OSError."""


class Form(NamedTuple):
    """How a file of a result is begun. `suffix`: what its name ends in, where the CSV's ends in `.csv`."""

    suffix: str
    begun: Callable[[Draft, About], AbstractContextManager[OpenFile]]


CSV = Form(".csv", csv_lines.begun)
PARQUET = Form(".parquet", parquet.begun)
EXCEL_CSV = Form(".excel.csv", excel_csv.begun)
_ASKED_FOR = {
    ResultFormat.JSONL: Form(".jsonl", json_lines.begun),
    ResultFormat.XLSX: Form(".xlsx", workbook.begun),
}


_READ = {CSV.suffix: csv_lines.read_parts, PARQUET.suffix: parquet.read_parts}


def forms_of(config: RunConfig) -> list[Form]:
    """Those that a run writes beside what every run writes."""
    return [*(_ASKED_FOR[each] for each in dict.fromkeys(config.format)), *([EXCEL_CSV] if config.excel else [])]


def is_comparable(suffix: str) -> bool:
    """Whether `answers` can be asked of a file of this form; others hold what one of these holds."""
    return suffix in _READ


def answers(path: Path, suffix: str) -> "pd.Series[int]":
    """How often each answered row stands in a result, by a hash of its id and its prompt: 8 bytes a row, however long.

    Raises:
        ValueError, OSError: it cannot be read as a result.
    """
    hashes = [
        hash_pandas_object(part.loc[part["status"] == "success", ["id", "input_query"]], index=False)
        for part in _READ[suffix](path)
    ]
    return pd.concat(hashes).value_counts() if hashes else pd.Series(dtype=int)


def missing(there: "pd.Series[int]", here: "pd.Series[int]") -> int:
    """How many of the answers `there` are not `here`."""
    return int((there - here.reindex(there.index, fill_value=0)).clip(lower=0).sum())
