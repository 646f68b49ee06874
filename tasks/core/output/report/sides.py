"""What is compared: the result of a job, or a file of a result, as rows beside what they cost."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from tasks.core.details import Details, Source, Spent, Usage, packed
from tasks.core.errors import InputError
from tasks.core.files.own_results import COLUMNS, is_result, records_of
from tasks.core.output.forms.form import PARQUET
from tasks.core.output.job_result import JobResult
from tasks.core.output.place import beside
from tasks.core.output.report.shown import priced
from tasks.core.output.rows import ResultRow
from tasks.core.records import Kind, RowAnswer

_AT_ONCE = 1000
_TOLD = ("finish_reason", "model_version", "response_id", "safety_ratings")


class SideRow(NamedTuple):
    """`dollars`: None where nobody knows."""

    row: ResultRow
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Side:
    """`rows`: from the first, as often as they are asked for."""

    name: str
    rows: Callable[[], Iterator[SideRow]]


def side_of_job(result: JobResult) -> Side:
    price = result.about.price
    return Side(result.about.origin.name, lambda: (SideRow(row, priced(price, row.answer)) for row in result.rows()))


def side_of_file(path: Path) -> Side:
    """A CSV of ours, of which the table beside it tells more, or such a table.

    Raises:
        InputError: it is neither.
    """
    records = records_of(path)
    name = records[0].origin.name if records else path.name
    table = beside(path, PARQUET.suffix)
    if path.suffix == ".csv" and records and any(r.written == records[0].written for r in records_of(table)):
        path = table
    if path.suffix == PARQUET.suffix and is_result(path):
        return Side(name, lambda: _rows_of_table(path))
    if path.suffix == ".csv" and _header(path)[: len(COLUMNS)] == COLUMNS:
        return Side(name, lambda: _rows_of_csv(path))
    raise InputError(f"{path} is no result: name a …_result.csv, a …_result.parquet, or a job")


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _rows_of_csv(path: Path) -> Iterator[SideRow]:
    csv.field_size_limit(2**31 - 1)  # an answer has no limit, Python's csv has one of 131,072
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, line in enumerate(csv.DictReader(file)):
            kind, detail, note = _kind_of(line["status"], line["error_message"])
            answer = RowAnswer(
                row=number,
                id=line["id"],
                key="",
                kind=kind,
                has_image=line["has_image"] == "True",
                response=line["response"],
                detail=detail,
                image_note=note,
            )
            yield SideRow(ResultRow(line["id"], line["input_query"], answer), None)


class _Told(NamedTuple):
    """What error_message says."""

    kind: Kind
    detail: str = ""
    note: str = ""


def _kind_of(status: str, error: str) -> _Told:
    """By what stands before the colon; beside a success it may be a medium that was left out."""
    name, _, detail = error.partition(": ")
    if name not in set(Kind):
        return _Told(Kind.ANSWERED if status == "success" else Kind.UNSENT, error)
    if status == "success" and name == Kind.IMAGE:
        return _Told(Kind.ANSWERED, note=detail)
    return _Told(Kind(name), detail)


def _rows_of_table(path: Path) -> Iterator[SideRow]:
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches(_AT_ONCE) for row in batch.to_pylist())
        for number, row in enumerate(rows):
            yield SideRow(ResultRow(row["id"], row["input_query"], _answer_of(number, row)), row["dollars"])


def _answer_of(number: int, row: dict[str, Any]) -> RowAnswer:
    _, detail, note = _kind_of(row["status"], row["error_message"])
    usage = Usage(row["prompt_tokens"], row["answer_tokens"], row["cached_tokens"], row["thought_tokens"])
    at = row["answered_at"].timestamp() if row["answered_at"] else 0.0
    spent = Spent(usage, requests=row["attempts"] or 0, latency_seconds=row["latency_seconds"] or 0.0, answered_at=at)
    told = Details(sources=[Source(**source) for source in row["sources"] or []])
    told.update({name: row[name] for name in _TOLD if row[name]})  # type: ignore[typeddict-item]
    return RowAnswer(
        row=number,
        id=row["id"],
        key=row["key"] or "",
        kind=Kind(row["kind"]),
        has_image=row["has_image"],
        response=row["response"],
        detail=detail,
        image_note=note,
        prompt_tokens=usage.prompt_tokens,
        answer_tokens=usage.answer_tokens,
        cached_tokens=usage.cached_tokens,
        thought_tokens=usage.thought_tokens,
        timeouts=row["maybe_billed"],
        service_tier=row["service_tier"],
        details=packed(told, spent),
    )
