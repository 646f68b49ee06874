"""Rows of a result, and reports of them, without a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.core.config.parameters import RunConfig
from tasks.core.details import Spent, Usage, packed
from tasks.core.output.report.making import Subject, write_report
from tasks.core.output.report.thumbnails import Thumbnails
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer

CONFIG = RunConfig(dataset="my data/q.jsonl")
BEGAN = 1_790_000_000.0


def answered(row: int, prompt: str, response: str, **fields: Any) -> ResultRow:
    """A row that took as many tenths of a second, and as many tokens, as its number says."""
    spent = Spent(Usage(row, 1), requests=1, latency_seconds=row / 10 + 0.1, answered_at=BEGAN + row)
    kind = fields.pop("kind", Kind.ANSWERED)
    told = packed(fields.pop("told", {}), spent)
    answer = RowAnswer(row, "", f"k{row}", kind, response=response, prompt_tokens=row, details=told, **fields)
    return ResultRow(f"id{row}", prompt, answer)


def failed(row: int, kind: Kind, detail: str) -> ResultRow:
    return answered(row, f"question {row}", "", kind=kind, detail=detail)


def report_at(path: Path, rows: Iterable[ResultRow], thumbnails: Thumbnails | None = None) -> str:
    """Write the report; returns what is in it."""
    subject = Subject("data · test · m", Path("m_test_result.csv"), CONFIG, folder=Path("/data/my place"))
    with path.open("w", encoding="utf-8") as file:
        write_report(file, subject, rows, thumbnails)
    return path.read_text("utf-8")
