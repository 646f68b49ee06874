"""Writes the result of a job, and keeps what somebody else, or an earlier run, has left under its names.

Every step leaves all that was there under some name: the new files are on disk first, then an old one gets its second
name, then the new one takes the first. The CSV comes last: once it is there, so is all that belongs to it.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path

from tasks.core.files.atomic import Draft, alone_in, drafted, make_folder, set_aside, sweep
from tasks.core.files.own_results import Origin, Record, digest_of, write_note
from tasks.core.output.columns import About
from tasks.core.output.forms.csv_lines import AT_ONCE
from tasks.core.output.forms.form import CSV, PARQUET, Form, answers
from tasks.core.output.place import REPORT, beside, report_path, unfinished_path
from tasks.core.output.rows import ResultRow
from tasks.core.output.there import There, look


@dataclass(frozen=True, slots=True)
class Written:
    """Where the CSV is; where the one that was there is now, if it was moved, and why. `also`: of the files beside."""

    path: Path
    moved: Path | None = None
    why: str = ""
    also: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What happened to earlier files, and what the new ones do not hold; empty where there is nothing to say."""
        moved = (f"the CSV that was there {self.why}: it is now {self.moved.name}",) if self.moved else ()
        return "; ".join((*moved, *self.also))

    def __str__(self) -> str:
        return f"{self.path} ({self.note})" if self.note else str(self.path)


@dataclass(slots=True)
class _Fresh:
    """A new file that is on disk whole, and what is to become of the one under its name."""

    suffix: str
    draft: Draft
    path: Path
    there: There | None = None
    why: str = ""
    moved: Path | None = None


def write_result(
    path: Path, about: About, rows: Iterable[ResultRow], *, successes: int, retryable: int, forms: Sequence[Form] = ()
) -> Written:
    """Write `rows` as the result of the job that `about` names: the CSV `path`, and beside it Parquet and `forms`.

    Files are for their owner only. A CSV of the same job that has more answers than a run with `retryable` rows is
    left alone: the run's own goes beside it, as `…_unfinished.csv`. What else would be lost by it is moved aside.

    Raises:
        OSError: it cannot be written. Whatever was there before is still there.
    """
    make_folder(path.parent)
    sweep(path.parent)
    with ExitStack() as drafts:
        begun = [(form, drafts.enter_context(drafted(path.parent))) for form in (CSV, PARQUET, *forms)]
        remarks = _write(begun, about, rows)
        with alone_in(path.parent):
            if retryable and _is_better(path, about.origin, successes):
                path = unfinished_path(path)
            files = [_Fresh(form.suffix, draft, beside(path, form.suffix)) for form, draft in begun]
            _settle(files, about.origin)
            _publish(files, about.origin)
    csv, *others = files
    moved = [_told(each) for each in others if each.moved and not (csv.moved and each.why == csv.why)]
    return Written(path, csv.moved, csv.why, (*moved, *remarks))


def _write(begun: list[tuple[Form, Draft]], about: About, rows: Iterable[ResultRow]) -> list[str]:
    """All of `rows` into all files; returns what they cannot hold."""
    with ExitStack() as opened:
        files = [opened.enter_context(form.begun(draft, about)) for form, draft in begun]
        for some in batched(rows, AT_ONCE):
            for file in files:
                file.write(some)
        remarks = [file.close() for file in files]
    for _, draft in begun:
        draft.save()
    return [remark for remark in remarks if remark]


def _is_better(path: Path, origin: Origin, successes: int) -> bool:
    there = look(path, CSV.suffix)
    if there is None or not there.is_of(origin):
        return False
    try:
        return int(answers(path, CSV.suffix).sum()) > successes
    except (OSError, ValueError):
        return False


def _settle(files: list[_Fresh], origin: Origin) -> None:
    """What becomes of the files that are there. What was written together is moved together."""
    csv = files[0]
    for each in files:
        each.there = there = look(each.path, each.suffix)
        if there:
            as_csv = each is not csv and there.is_with(csv.there) and (csv.why or there.intact)
            each.why = csv.why if as_csv else there.why_kept(origin, each.draft.path)
            each.moved = there.free_name() if each.why else None


def _publish(files: list[_Fresh], origin: Origin) -> None:
    """The CSV last."""
    written = datetime.now(UTC)
    _take_report_along(files[0])
    for each in (*files[1:], files[0]):
        _note(each, origin, written)
        if each.moved and not os.path.lexists(each.moved):
            set_aside(each.path, each.moved)
        each.draft.publish(each.path)


def _take_report_along(csv: _Fresh) -> None:
    """Where the CSV is moved, so is what was written about it."""
    report = look(report_path(csv.path), REPORT)
    if csv.moved and report and report.record and report.is_with(csv.there):
        aside = report.free_name()
        write_note(aside, [report.record])
        report.path.rename(aside)


def _note(file: _Fresh, origin: Origin, written: datetime) -> None:
    """Say whose each file is, before any of them gets its name."""
    earlier = [file.there.record] if file.there and file.there.record else []
    new = file.draft.path
    record = Record(origin=origin, written=written, size=new.stat().st_size, digest=digest_of(new))
    write_note(file.path, [record, *earlier])
    if file.moved and earlier:
        write_note(file.moved, earlier)


def _told(file: _Fresh) -> str:
    name = file.moved.name if file.moved else ""
    return f"the {file.suffix} that was there {file.why}: it is now {name}"
