"""What a run leaves when its sending is over: the CSV, the report, a checkpoint in order. Only the CSV can fail it."""

from contextlib import suppress
from typing import Any, NamedTuple

from prefect import State

from flows.notices import trouble_told
from flows.sent import Sent
from tasks.core.checkpoint.lock import JobHeld, JobLock
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.prices import price_of
from tasks.core.files.own_results import Origin
from tasks.core.output.columns import About
from tasks.core.output.late import Late, keep_late
from tasks.core.output.place import csv_path_of
from tasks.core.output.result import Written
from tasks.core.planning.attempt import Attempt
from tasks.core.reporting.tally import Tally
from tasks.report import report
from tasks.write_results import assemble_csv


class Csv(NamedTuple):
    """Where the CSV is, or why there is none."""

    written: Written | None
    problem: str


NO_CSV = Csv(None, "")  # not tried


def write_csv(config: RunConfig, attempt: Attempt, tally: Tally, origin: Origin) -> Csv:
    path = csv_path_of(config).absolute()
    named = origin.model_copy(update={"attempt": attempt.run.attempt})
    about = About(named, None if config.demo else price_of(config.model))
    state: State[Any] = assemble_csv(attempt.run, attempt.answers, tally, path, about, return_state=True)
    return Csv(state.result(), "") if state.is_completed() else Csv(None, state.message or "the CSV was not written")


def save_late(config: RunConfig, attempt: Attempt, sent: Sent) -> None:
    """What the storage could not take may be taken now, or else waits beside the CSV."""
    if sent.unsaved:
        late = Late(job=attempt.run.job, attempt=attempt.run.attempt, rows=sent.unsaved)
        with trouble_told("the answers that could not be saved"):
            sent.unsaved = keep_late(attempt.storage, csv_path_of(config), late)


def report_rows(config: RunConfig, attempt: Attempt, tally: Tally, csv: Csv) -> None:
    """Where there is anything to say."""
    data, path = attempt.run.data, csv.written.path if csv.written else None
    with trouble_told("the report"):
        if tally.rows or path:
            report(data.dataset, config.model, attempt.answers, tally, data.rows, path)


def close(attempt: Attempt, tally: Tally, lock: JobLock) -> None:
    """Put on record how the attempt ended, and the records together."""
    with trouble_told("the checkpoint's summary"):
        attempt.close(tally.rows, tally.retryable)
    with trouble_told("the checkpoint, put together,"), suppress(JobHeld):
        attempt.put_together(lock, finished=tally.rows == attempt.run.data.rows and not tally.retryable)
