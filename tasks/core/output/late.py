"""Answers that the checkpoint could not take, in a hidden file beside the CSV until the next run takes them over."""

from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tasks.core.checkpoint.contents import pack
from tasks.core.checkpoint.layout import Storage, answers_key
from tasks.core.files.atomic import drafted, make_folder
from tasks.core.records import RowAnswer

WRITER = "late"  # of the record in the checkpoint that such answers end in


class Late(BaseModel):
    """Results of one attempt of a job."""

    job: str
    attempt: str
    rows: list[RowAnswer]


def late_path(csv: Path) -> Path:
    return csv.with_name(f".{csv.name}.late.json")


def save_late(storage: Storage, late: Late) -> None:
    """Put them where they belong. Raises OSError."""
    storage.write(answers_key(late.job, late.attempt, WRITER, 0), pack(late.rows))


def put_beside(csv: Path, late: Late) -> None:
    """Keep them beside the CSV. Raises OSError."""
    make_folder(csv.parent)
    with drafted(csv.parent) as draft:
        draft.file.write(late.model_dump_json(exclude_defaults=True))
        draft.publish(late_path(csv))


def keep_late(storage: Storage, csv: Path, late: Late) -> list[RowAnswer]:
    """Save them, for the storage may be back; returns those that wait beside the CSV for the next run instead.

    Raises:
        OSError: neither can be written.
    """
    try:
        save_late(storage, late)
    except OSError:
        put_beside(csv, late)
        return late.rows
    return []


def take_over(csv: Path, job: str, storage: Storage) -> int:
    """Save what an earlier run of `job` has left beside the CSV; returns how many answers that were.

    Raises:
        OSError: the storage still cannot be written; the file stays.
    """
    path = late_path(csv)
    try:
        late = Late.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # none, or none of ours
        return 0
    if late.job != job:
        return 0
    save_late(storage, late)
    with suppress(OSError):
        path.unlink()
    return len(late.rows)
