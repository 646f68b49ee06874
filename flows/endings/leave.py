"""What a run leaves when its sending is over: the CSV, the report, a checkpoint in order. Only the CSV can fail it."""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from prefect import State, get_run_logger

from flows.endings.batches import ways_on
from flows.local_server import is_local
from flows.notices import trouble_told
from flows.outcome import tell
from flows.sent import Sent
from tasks.core.checkpoint.lock import JobHeld, JobLock
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.costs.prices import BATCH
from tasks.core.costs.spending import Spending
from tasks.core.details import STANDARD
from tasks.core.files.own_results import Origin
from tasks.core.output.columns import about_of
from tasks.core.output.forms.form import PARQUET, forms_of
from tasks.core.output.hub.card import Pushed
from tasks.core.output.hub.push import Target
from tasks.core.output.late import Late, keep_late
from tasks.core.output.place import beside, csv_path_of
from tasks.core.output.result import Written
from tasks.core.planning.attempt import Attempt
from tasks.core.reporting.cost_words import cost_line
from tasks.core.reporting.summary import summary_table
from tasks.core.reporting.tally import Tally
from tasks.push_result import push_result
from tasks.report import report
from tasks.write_results import assemble_csv


class Csv(NamedTuple):
    """Where the CSV is, or why there is none."""

    written: Written | None
    problem: str


NO_CSV = Csv(None, "")  # not tried


def write_csv(config: RunConfig, attempt: Attempt, tally: Tally, origin: Origin) -> Csv:
    path = csv_path_of(config).absolute()
    about = about_of(config, origin, attempt.costs.price)
    state: State[Any] = assemble_csv(
        attempt.run, attempt.answers, tally, path, about, forms_of(config), return_state=True
    )
    return Csv(state.result(), "") if state.is_completed() else Csv(None, state.message or "the CSV was not written")


def save_late(config: RunConfig, attempt: Attempt, sent: Sent) -> None:
    """What the storage could not take may be taken now, or else waits beside the CSV."""
    if sent.unsaved:
        late = Late(job=attempt.run.job, attempt=attempt.run.attempt, rows=sent.unsaved)
        with trouble_told("the answers that could not be saved"):
            sent.unsaved = keep_late(attempt.storage, csv_path_of(config), late)


class Cost(NamedTuple):
    """What the attempt took, and what is said of it."""

    spent: Spending
    line: str


def tell_cost(attempt: Attempt, tally: Tally) -> Cost:
    spent = attempt.spent()
    tier = BATCH if attempt.run.batch else attempt.run.generation.service_tier or STANDARD
    line = cost_line(attempt.costs, spent, tally.saved, tier, cache_prefix=attempt.run.prefix is not None)
    return Cost(spent, line)


def report_rows(config: RunConfig, attempt: Attempt, tally: Tally, csv: Csv, cost: Cost) -> None:
    """Where there is anything to say."""
    path = csv.written.path if csv.written else None
    with trouble_told("the report"):
        if tally.rows or path:
            report(attempt.run, config.model, attempt.answers, tally, path, cost.line)


def push(config: RunConfig, attempt: Attempt, tally: Tally, origin: Origin, written: Written, cost: Cost) -> str:
    """Push the result where that is asked; returns why it could not be."""
    if not config.push_to_hub:
        return ""
    if written.path != csv_path_of(config).absolute():
        return "an earlier run's result is better"
    result = Pushed(origin, config.split, config.generation, config.template_text or "", tally, cost.line)
    target, table = Target(config.push_to_hub, config.push_public), beside(written.path, PARQUET.suffix)
    state: State[Any] = push_result(attempt.run, target, result, table, return_state=True)
    if not state.is_completed():
        return state.message or "it was not pushed"
    get_run_logger().info("pushed to %s", state.result())
    return ""


def tell_outcome(
    attempt: Attempt, tally: Tally, seconds: float, sent: Sent, csv: Written | None, page: Path | None, cost: Cost
) -> None:
    """Once, whatever the run's end is."""
    lines = summary_table(tally, seconds, attempt.plan.reused, sent.repeats)
    if cost.line and (attempt.plan.to_send or attempt.run.batch):  # whose jobs may be an earlier run's
        lines.append(("cost", cost.line.removeprefix("cost: ")))
    if csv:
        lines += [("CSV", str(csv.path)), *([("note", csv.note)] if csv.note else [])]
        lines.append(("Parquet", str(beside(csv.path, PARQUET.suffix))))
    if page:
        lines.append(("report", str(page)))
    if is_local():
        lines.append(("history", f"{command(Program.UI)} opens it in the Prefect UI"))
    tell(lines + (ways_on(attempt.run.job) if sent.batches else []), f"CSV: {csv}. ")


def close(attempt: Attempt, tally: Tally, lock: JobLock, cost: Cost) -> None:
    """Put on record how the attempt ended and what it took, and the records together."""
    with trouble_told("the checkpoint's summary"):
        attempt.close(tally.rows, tally.retryable)
    finished = tally.rows == attempt.run.data.rows and not tally.retryable
    with trouble_told("the checkpoint, put together,"), suppress(JobHeld):
        attempt.put_together(lock, finished, cost.spent)
