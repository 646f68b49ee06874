"""Puts a report beside the CSV that it is about, whole or not at all. Must not replace what is no report of the job."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tasks.core.errors import InputError
from tasks.core.files.atomic import alone_in, drafted, make_folder, set_aside, sweep
from tasks.core.files.own_results import Origin, Record, digest_of, is_result, records_of, write_note
from tasks.core.output.place import REPORT, report_path
from tasks.core.output.there import look


def place_report(csv: Path, origin: Origin, write: Callable[[TextIO], None]) -> Path:
    """Write the report about the result whose CSV is `csv`, which need not be there; returns where it is.

    A report of another job, or one that was edited, is moved aside.

    Raises:
        OSError: it cannot be written. Whatever was there before is still there.
    """
    path = report_path(csv)
    make_folder(path.parent)
    sweep(path.parent)
    with drafted(path.parent) as draft:
        write(draft.file)
        draft.save()
        with alone_in(path.parent):
            there = look(path, REPORT)
            earlier = [there.record] if there and there.record else []
            moved = there.free_name() if there and there.why_kept(origin, draft.path) else None
            size, digest = draft.path.stat().st_size, digest_of(draft.path)
            record = Record(origin=origin, written=_written(csv, origin), size=size, digest=digest)
            write_note(path, [record, *earlier])
            if moved:
                if earlier:
                    write_note(moved, earlier)
                if not os.path.lexists(moved):
                    set_aside(path, moved)
            draft.publish(path)
    return path


def place_comparison(path: Path, write: Callable[[TextIO], None]) -> Path:
    """Write a page that belongs to no single CSV; returns where it is.

    Raises:
        InputError: there is another file, or it cannot be written.
    """
    path = path.expanduser().absolute()
    if path.suffix != REPORT or (path.exists() and not is_result(path)):
        way_out = f"name a file that ends in {REPORT}, and is a new one or such a page"
        raise InputError(f"--output {path}: {way_out}")
    try:
        make_folder(path.parent)
        with drafted(path.parent) as draft:
            write(draft.file)
            draft.publish(path)
    except OSError as error:
        raise InputError(f"--output {path}: {error.strerror or error}", type(error).__name__) from None
    return path


def _written(csv: Path, origin: Origin) -> datetime:
    """The same as of the CSV, by which both are known to belong together."""
    records = (record for record in records_of(csv) if record.origin.job == origin.job)
    return next((record.written for record in records), datetime.now(UTC))
