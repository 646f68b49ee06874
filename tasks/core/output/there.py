"""What is under the name of a file of a result already, why it must be kept, and the name that it is moved to."""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks.core.files.own_results import Origin, Record, digest_of, records_of
from tasks.core.output.forms.form import answers, is_comparable, missing
from tasks.core.output.place import as_file_name, name_without
from tasks.core.text import counted

_NAME_BYTES = 255 - len("..json")  # which makes the name of a note
_WHOSE_BYTES = 40
_DATA_SUFFIX = re.compile(r"\.(csv|jsonl?|parquet)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class There:
    """A file that is there already. `record`: what we know of it; `intact`: it is as that says."""

    path: Path
    suffix: str
    record: Record | None
    intact: bool

    @property
    def since(self) -> datetime:
        written = self.record.written if self.record and self.intact else None
        return written or datetime.fromtimestamp(self.path.lstat().st_mtime, UTC)

    def is_of(self, origin: Origin) -> bool:
        return self.record is not None and self.record.origin.job == origin.job

    def is_with(self, other: "There | None") -> bool:
        """Whether both were written by one run at its end."""
        return bool(other and other.record and self.record and other.record.written == self.record.written)

    def why_kept(self, origin: Origin, new: Path) -> str:
        """Why it must not be replaced by `new`; empty where nothing is lost by it."""
        if self.record is None:
            return "is not known to be a result"
        if not self.intact:
            return "was changed after it was written"
        if not self.is_of(origin):
            return f"is a result of {self.record.origin.name!r}"
        if not is_comparable(self.suffix):
            return ""
        try:
            lost = missing(answers(self.path, self.suffix), answers(new, self.suffix))
        except (OSError, ValueError):
            return "cannot be compared"
        return f"has {counted(lost, 'answer')} that this run has not" if lost else ""

    def free_name(self) -> Path:
        """A name that says whose the file is and when it was written, and that no other file has."""
        whose = _DATA_SUFFIX.sub("", Path(self.record.origin.dataset).name) if self.record else "unknown"
        when = f"{self.since.astimezone():%Y-%m-%dT%H%M%S}"
        number = 1
        while True:
            again = f"-{number}" if number > 1 else ""
            ending = f".{_cut(as_file_name(whose), _WHOSE_BYTES)}.{when}{again}{self.suffix}"
            stem = _cut(name_without(self.path, self.suffix), _NAME_BYTES - len(ending.encode()))
            if not _taken(name := self.path.with_name(stem + ending), self.path):
                return name
            number += 1


def look(path: Path, suffix: str) -> There | None:
    """What is under a name, if anything."""
    if not os.path.lexists(path):
        return None
    records = records_of(path)
    try:
        found = (path.stat().st_size, digest_of(path)) if path.is_file() else None
    except OSError:  # which we may not read
        found = None
    known = next((record for record in records if (record.size, record.digest) == found), None)
    return There(path, suffix, known or next(iter(records), None), known is not None)


def _taken(name: Path, path: Path) -> bool:
    """Whether another file has the name; a run that was killed may have given it to this one already."""
    try:
        return not os.path.samestat(name.lstat(), path.lstat())
    except FileNotFoundError:
        return False


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")
