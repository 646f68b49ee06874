"""Knows our own results: by what stands in them, and by a hidden note beside each one that says whose it is.

    gemini-3.5-flash-lite_test_result.csv          the CSV
    .gemini-3.5-flash-lite_test_result.csv.json    its note: the job, the attempt, when, and a digest of the file

A note is written before its CSV takes the name and keeps the record of the one before, so that whichever of the two a
crash leaves there is known. A file that no record fits was edited, or is not ours. Must not import what reads data:
that asks here what it must not read.
"""

import csv
import hashlib
import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.core.files.atomic import drafted, is_draft

COLUMNS = ["id", "input_query", "has_image", "response", "status", "error_message"]
SUFFIXES = (".csv", ".parquet", ".jsonl", ".xlsx", ".excel.csv")  # of the files of a result
TABLE_MARK = b"gemini-infer"  # in the metadata of a table: whose it is
WORKBOOK_CREATOR = "gemini-infer"
PAGE_MARK = b'<meta name="generator" content="gemini-infer '  # in the head of a report
_PAGE_HEAD_BYTES = 2000
_MOST_BYTES = 100_000  # of a note
_MOST_LINE_BYTES = 1_000_000  # a longer row is known by its note alone


class Origin(BaseModel):
    """Whose a result is. `name` is the job as people know it; `dataset` the data set alone.

    `settings`, `template`: fingerprints of what all rows were asked with; empty where there is no template.
    """

    model_config = ConfigDict(frozen=True)

    job: str
    name: str
    dataset: str
    attempt: str
    settings: str = ""
    template: str = ""


class Record(BaseModel):
    """A CSV as it was when we wrote it."""

    model_config = ConfigDict(frozen=True)

    origin: Origin
    written: datetime
    size: int
    digest: str


class Note(BaseModel):
    """What the hidden file holds: records, the newest first."""

    program: Literal["gemini-infer"] = "gemini-infer"
    records: list[Record]


def note_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def records_of(path: Path) -> list[Record]:
    """What the note of a CSV says; nothing where there is none that can be read."""
    return _read_note(note_path(path))


def write_note(path: Path, records: list[Record]) -> None:
    """Note whose the CSV `path` is."""
    with drafted(path.parent) as draft:
        draft.file.write(Note(records=records).model_dump_json(indent=1))
        draft.publish(note_path(path))


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_result(path: Path) -> bool:
    """Whether a file is a result of ours, finished or not, moved aside or edited, or the draft or note of one."""
    if path.name.startswith("."):
        return is_draft(path) or (path.suffix == ".json" and bool(_read_note(path)))
    has_our_mark = _MARKS.get(path.suffix.lower())
    return has_our_mark is not None and (has_our_mark(path) or bool(records_of(path)))


def _read_note(note: Path) -> list[Record]:
    try:
        if not note.is_file() or note.stat().st_size > _MOST_BYTES:
            return []
        return Note.model_validate_json(note.read_bytes()).records
    except (OSError, ValidationError):
        return []


def _has_our_header(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            line = file.readline(1000).decode("utf-8-sig")
        return next(csv.reader([line]), []) == COLUMNS
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def _has_our_metadata(path: Path) -> bool:
    import pyarrow.parquet as pq  # half a second, for folders with such files alone

    try:
        return path.is_file() and TABLE_MARK in (pq.read_schema(path).metadata or {})
    except (OSError, ValueError):
        return False


def _has_our_keys(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            first = json.loads(file.readline(_MOST_LINE_BYTES).decode("utf-8-sig"))
        return isinstance(first, dict) and list(first)[: len(COLUMNS) + 1] == [*COLUMNS, "kind"]
    except (OSError, ValueError):
        return False


def _has_our_creator(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as book, book.open("docProps/core.xml") as properties:
            return f">{WORKBOOK_CREATOR}<".encode() in properties.read(_MOST_BYTES)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def _has_our_generator(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return PAGE_MARK in file.read(_PAGE_HEAD_BYTES)
    except OSError:
        return False


_MARKS = {
    ".csv": _has_our_header,
    ".parquet": _has_our_metadata,
    ".jsonl": _has_our_keys,
    ".xlsx": _has_our_creator,
    ".html": _has_our_generator,
}
