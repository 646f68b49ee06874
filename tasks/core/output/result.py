"""Writes the CSV of a job, and keeps what somebody else, or an earlier run, has left under its name.

Every step leaves all that was there under some name: the new CSV is on disk first, then the old one gets its second
name, then the new one takes the first.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.core.files.atomic import alone_in, drafted, make_folder, set_aside, sweep
from tasks.core.files.own_results import Origin, Record, digest_of, records_of, write_note
from tasks.core.output.lines import Line, answers, missing, write_lines
from tasks.core.output.place import as_file_name, unfinished_path

_NAME_BYTES = 255 - len("..json")  # which makes the name of a note
_WHOSE_BYTES = 40
_DATA_SUFFIX = re.compile(r"\.(csv|jsonl?|parquet)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written:
    """Where the CSV is; where the one that was there is now, if it was moved, and why."""

    path: Path
    moved: Path | None = None
    why: str = ""

    @property
    def note(self) -> str:
        """What happened to the earlier CSV; empty where nothing did."""
        return f"the CSV that was there {self.why}: it is now {self.moved.name}" if self.moved else ""

    def __str__(self) -> str:
        return f"{self.path} ({self.note})" if self.moved else str(self.path)


@dataclass(frozen=True, slots=True)
class _There:
    """A CSV that is there already. `record`: what we know of it; `intact`: it is as that says."""

    path: Path
    record: Record | None
    intact: bool

    @property
    def since(self) -> datetime:
        written = self.record.written if self.record and self.intact else None
        return written or datetime.fromtimestamp(self.path.lstat().st_mtime, UTC)


def write_result(path: Path, origin: Origin, lines: Iterable[Line], *, successes: int, retryable: int) -> Written:
    """Write `lines` as the CSV of the job that `origin` names. Files are for their owner only.

    A CSV of the same job that has more answers than a run with `retryable` rows is left alone: the run's own goes
    beside it, as `…_unfinished.csv`. What else would be lost by it is moved aside.

    Raises:
        OSError: it cannot be written. Whatever was there before is still there.
    """
    make_folder(path.parent)
    sweep(path.parent)
    with drafted(path.parent) as draft:
        write_lines(draft.file, lines)
        draft.save()
        with alone_in(path.parent):
            if retryable and _is_better(path, origin, successes):
                path = unfinished_path(path)
            there = _look(path)
            why = _why_kept(there, origin, draft.path) if there else ""
            moved = _free_name(there) if there and why else None
            _note(path, origin, draft.path, there, moved)
            if moved and not os.path.lexists(moved):
                set_aside(path, moved)
            draft.publish(path)
    return Written(path, moved, why)


def _look(path: Path) -> _There | None:
    """What is under the name of the CSV, if anything."""
    if not os.path.lexists(path):
        return None
    records = records_of(path)
    try:
        found = (path.stat().st_size, digest_of(path)) if path.is_file() else None
    except OSError:  # which we may not read
        found = None
    known = next((record for record in records if (record.size, record.digest) == found), None)
    return _There(path, known or next(iter(records), None), known is not None)


def _is_better(path: Path, origin: Origin, successes: int) -> bool:
    there = _look(path)
    if there is None or there.record is None or there.record.origin.job != origin.job:
        return False
    try:
        return int(answers(path).sum()) > successes
    except (OSError, ValueError):
        return False


def _why_kept(there: _There, origin: Origin, new: Path) -> str:
    """Why the CSV that is there must not be replaced by `new`; empty where nothing is lost by it."""
    if there.record is None:
        return "is not known to be a result"
    if not there.intact:
        return "was changed after it was written"
    if there.record.origin.job != origin.job:
        return f"is a result of {there.record.origin.name!r}"
    try:
        lost = missing(answers(there.path), answers(new))
    except ValueError:
        return "cannot be compared"
    return f"has {lost:,} answers that this run has not" if lost else ""


def _note(path: Path, origin: Origin, new: Path, there: _There | None, moved: Path | None) -> None:
    """Say whose each file is, before any of them gets its name."""
    earlier = [there.record] if there and there.record else []
    record = Record(origin=origin, written=datetime.now(UTC), size=new.stat().st_size, digest=digest_of(new))
    write_note(path, [record, *earlier])
    if moved and earlier:
        write_note(moved, earlier)


def _free_name(there: _There) -> Path:
    """A name that says whose the CSV is and when it was written, and that no other file has."""
    whose = _DATA_SUFFIX.sub("", Path(there.record.origin.dataset).name) if there.record else "unknown"
    when = f"{there.since.astimezone():%Y-%m-%dT%H%M%S}"
    number = 1
    while True:
        ending = f".{_cut(as_file_name(whose), _WHOSE_BYTES)}.{when}{f'-{number}' if number > 1 else ''}.csv"
        name = there.path.with_name(_cut(there.path.stem, _NAME_BYTES - len(ending.encode())) + ending)
        if not _taken(name, there.path):
            return name
        number += 1


def _taken(name: Path, path: Path) -> bool:
    """Whether another file has the name; a run that was killed may have given it to this one already."""
    try:
        return not os.path.samestat(name.lstat(), path.lstat())
    except FileNotFoundError:
        return False


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
