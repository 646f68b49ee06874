"""The flow: every row of a data set through Gemini, into one CSV.

parameters ─ resolve_dataset ─ plan ─ answer_chunk.map ─ assemble_csv ─ report
"""

if __name__ == "__main__":  # the command line first: it starts what takes long before it imports what takes long
    import sys
    from pathlib import Path
    from typing import Any

    folder = Path(__file__).resolve().parent  # Python has put it first, where its modules would stand for libraries
    sys.path[:] = [*(path for path in sys.path if Path(path).resolve() != folder), str(folder.parent)]

    from flows.cli import program

    def load_flow() -> Any:
        """This file again, as the module that Prefect and its workers know. The command line itself knows no flow."""
        from flows.infer import infer

        return infer

    raise SystemExit(program(load_flow, sys.argv[1:]))

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prefect import State, flow, get_run_logger, runtime

from flows.checked import Checked, checked_run, within_open_files
from flows.dispatch import Sent, send
from flows.endings import states
from flows.endings.hand_over import hand_over
from flows.logs import without_expected_tracebacks
from flows.notices import tell_where_requests_go
from flows.preflight import api_of
from flows.runners.event_loop import EventLoopTaskRunner
from tasks.answer_chunk import answer_chunk
from tasks.core.checkpoint.layout import Storage, StorageError
from tasks.core.checkpoint.lock import DEAD_SECONDS, Holder, JobHeld, JobLock
from tasks.core.config.command_line import checked
from tasks.core.config.parameters import RunConfig, TaskRunnerKind, with_parameters_of
from tasks.core.data.sources import DatasetRef
from tasks.core.errors import InputError
from tasks.core.files.own_results import Origin
from tasks.core.output.late import Late, put_beside, save_late, take_over
from tasks.core.output.place import csv_path
from tasks.core.output.result import Written
from tasks.core.planning.attempt import Attempt, origin_of, plan_attempt
from tasks.core.reporting.summary import summary_lines
from tasks.core.reporting.tally import Tally
from tasks.core.text import visible
from tasks.report import report
from tasks.resolve import resolve_dataset
from tasks.result_storage import storage_of_results
from tasks.write_results import assemble_csv


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    name = Path(str(parameters.get("dataset") or ("demo" if parameters.get("demo") else "INFER_DATASET"))).name
    return visible(f"{name} {parameters.get('split')} {parameters.get('model')}")


@flow(
    name="infer",
    description="Send every row of a data set through Gemini and write one CSV with every row in it.",
    flow_run_name=_run_name,
    task_runner=EventLoopTaskRunner(),  # type: ignore[arg-type]  # Prefect's parameter is invariant
    persist_result=False,
    validate_parameters=True,
)
@with_parameters_of(RunConfig)
def infer(**parameters: Any) -> State[Any]:
    """Send every row of a data set through Gemini and write one CSV with every row in it."""
    without_expected_tracebacks()
    try:
        run = checked_run(checked(parameters))
        with api_of(run.config):
            return hand_over(_infer(run))
    except InputError as error:
        return states.refused(error)


def _infer(run: Checked) -> State[Any]:
    config = within_open_files(run.config)
    tell_where_requests_go(config)
    data = resolve_dataset(config, run.data)
    origin, storage = origin_of(config, data), storage_of_results(answer_chunk)
    try:
        with _lock(config, origin.job, storage) as lock:
            attempt = _plan(config, data, origin, storage, lock)
            answer = _answer(config, attempt, lock, origin)
    except JobHeld as held:
        return states.held(held.holder)
    except StorageError as error:
        return states.storage_unusable(error)
    return answer


def _lock(config: RunConfig, job: str, storage: Storage) -> JobLock:
    """One run a job: another one's lock is waited for only as long as it takes to see whether it is alive."""

    def waiting(holder: Holder) -> None:
        get_run_logger().warning("%s holds this job; waiting up to %d s for a sign of life", holder, DEAD_SECONDS)

    shared = config.task_runner is not TaskRunnerKind.LOCAL
    return JobLock(storage, job, str(runtime.flow_run.id), waiting, shared=shared)


def _plan(config: RunConfig, data: DatasetRef, origin: Origin, storage: Storage, lock: JobLock) -> Attempt:
    """What is to be sent, on record in the checkpoint."""
    logger = get_run_logger()
    if late := take_over(_csv_path(config), origin.job, storage):
        logger.info("%d answers that an earlier run could not save are in the checkpoint now", late)
    attempt = plan_attempt(config, data, origin.job, storage, str(runtime.flow_run.id), logger)
    lock.confirm()
    attempt.open(origin.name, config)
    return attempt


def _csv_path(config: RunConfig) -> Path:
    return csv_path(config.output_dir, config.model, config.split, config.demo)


def _answer(config: RunConfig, attempt: Attempt, lock: JobLock, origin: Origin) -> State[Any]:
    """Send what the plan says; whatever is known in the end is in the checkpoint, or in the CSV, or in both."""
    started = time.monotonic()
    data, plan = attempt.run.data, attempt.plan
    sent = send(attempt, config, lock)
    tally = Tally.of_groups(attempt.answers.groups())
    written, problem = None, ""
    if tally.rows == data.rows or sent.unsaved:  # the CSV has the unsaved ones at least
        written, problem = _write_csv(config, attempt, tally, origin)
    if sent.unsaved:
        _save_late(config, attempt, sent)
    with _told("the report"):
        if tally.rows or written:
            report(data.dataset, config.model, attempt.answers, tally, data.rows, written.path if written else None)
    with _told("the checkpoint's summary"):
        attempt.close(tally.rows, tally.retryable)
    with _told("the checkpoint, put together,"), suppress(JobHeld):
        attempt.put_together(lock, finished=tally.rows == data.rows and not tally.retryable)
    if tally.rows < data.rows:
        return states.unfinished(config, sent, tally, data.rows, written)
    if written is None:
        return states.unwritten(config, problem, tally.rows)
    if sent.unsaved:
        return states.unsaved(sent, written)
    for line in summary_lines(tally, time.monotonic() - started, plan.reused):
        get_run_logger().info(line)
    return states.finished(config, tally, written)


def _write_csv(config: RunConfig, attempt: Attempt, tally: Tally, origin: Origin) -> tuple[Written | None, str]:
    """Where the CSV is, or why there is none."""
    path = _csv_path(config).absolute()
    named = origin.model_copy(update={"attempt": attempt.run.attempt})
    state: State[Any] = assemble_csv(attempt.run.data, attempt.answers, tally, path, named, return_state=True)
    return (state.result(), "") if state.is_completed() else (None, state.message or "the CSV was not written")


def _save_late(config: RunConfig, attempt: Attempt, sent: Sent) -> None:
    """The storage may be back; else what it could not take waits beside the CSV for the next run."""
    late = Late(job=attempt.run.job, attempt=attempt.run.attempt, rows=sent.unsaved)
    try:
        save_late(attempt.storage, late)
        sent.unsaved = []
    except OSError:
        with _told("the answers that could not be saved"):
            put_beside(_csv_path(config), late)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What goes wrong here is told and ends nothing: the answers are there."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("%s could not be written: %s", what, " ".join(str(error).split()))
