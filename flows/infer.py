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
from collections import Counter
from functools import partial
from typing import Any

from prefect import State, get_run_logger, runtime

from flows.batch.at_work import has_batches, note_batches, under_way
from flows.batch.mode import by_mode
from flows.batch.settling import settle_batches
from flows.checked import Checked, checked_run, within_open_files
from flows.dispatch import send
from flows.endings import states
from flows.endings.batches import before_planning
from flows.endings.hand_over import hand_over
from flows.endings.leave import NO_CSV, close, push, report_rows, save_late, tell_cost, tell_outcome, write_csv
from flows.endings.page import write_page
from flows.in_python.called import CalledFlow
from flows.in_python.caller import Ended, caller
from flows.logs import without_expected_tracebacks
from flows.notices import tell_where_requests_go, tell_who_is_waited_for
from flows.preflight import api_of, run_name
from flows.runners.event_loop import EventLoopTaskRunner
from tasks.answer_chunk import answer_chunk
from tasks.core.checkpoint.layout import Storage, StorageError
from tasks.core.checkpoint.lock import JobHeld, JobLock
from tasks.core.config.command_line import checked
from tasks.core.config.groups.run import TaskRunnerKind
from tasks.core.config.parameters import RunConfig
from tasks.core.config.signature import with_parameters_of
from tasks.core.data.sources import DatasetRef
from tasks.core.errors import InputError
from tasks.core.files.own_results import Origin
from tasks.core.output.late import take_over
from tasks.core.output.place import csv_path_of
from tasks.core.planning.attempt import Attempt
from tasks.core.planning.job import job_of, origin_of
from tasks.core.planning.next_attempt import plan_attempt
from tasks.core.reporting.tally import Tally
from tasks.resolve import resolve_dataset
from tasks.result_storage import storage_of_results


@partial(
    CalledFlow,
    name="infer",
    description="Send every row of a data set through Gemini and write one CSV with every row in it.",
    flow_run_name=lambda: run_name(runtime.flow_run.parameters),
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
        return hand_over(states.refused(error))


def _infer(run: Checked) -> State[Any]:
    config = within_open_files(run.config)
    tell_where_requests_go(config)
    job, storage = job_of(config), storage_of_results(answer_chunk)
    shared = config.task_runner is not TaskRunnerKind.LOCAL
    try:  # one run a job
        # A run that wakes up to look after its batch jobs reads no data before it knows that any has ended.
        data = None if has_batches(storage, job) else resolve_dataset(config, run.data)
        with JobLock(storage, job, str(runtime.flow_run.id), tell_who_is_waited_for, shared=shared) as lock:
            settled = settle_batches(config, storage, job, lock)
            if settled.early_end:
                return before_planning(config, settled.early_end, job, under_way(storage, job))
            data = data or resolve_dataset(config, run.data)
            origin = origin_of(config, data)
            attempt = _plan(config, data, origin, storage, lock, settled.in_flight)
            return _answer(config, attempt, lock, origin.model_copy(update={"attempt": attempt.run.attempt}))
    except JobHeld as held:
        return states.held(held.holder)
    except StorageError as error:
        return states.storage_unusable(error)


def _plan(
    config: RunConfig, data: DatasetRef, origin: Origin, storage: Storage, lock: JobLock, in_flight: Counter[str]
) -> Attempt:
    """What is to be sent, on record in the checkpoint."""
    logger = get_run_logger()
    if late := take_over(csv_path_of(config), origin.job, storage):
        logger.info("%d answers that an earlier run could not save are in the checkpoint now", late)
    attempt = plan_attempt(config, data, origin.job, storage, str(runtime.flow_run.id), logger, in_flight)
    attempt = by_mode(config, attempt, lock)
    lock.confirm()
    attempt.open(origin.name, config)
    return attempt


def _answer(config: RunConfig, attempt: Attempt, lock: JobLock, origin: Origin) -> State[Any]:
    """Send what the plan says; whatever is known in the end is in the checkpoint, or in the CSV, or in both."""
    started, rows = time.monotonic(), attempt.run.data.rows
    sent = send(attempt, config, lock)
    note_batches(sent, attempt)
    tally = Tally.of_groups(attempt.answers.groups())
    csv = NO_CSV
    if tally.rows == rows or sent.unsaved:  # it has the unsaved ones at least
        csv = write_csv(config, attempt, tally, origin)
    save_late(config, attempt, sent)
    cost = tell_cost(attempt, tally)
    report_rows(config, attempt, tally, csv, cost)
    close(attempt, tally, lock, cost)
    if waiting := caller():
        waiting.ended = Ended(tally, rows, csv.written.path if csv.written else None, cost.spent)
    seconds = time.monotonic() - started
    page = write_page(config, attempt, tally, origin, csv.written)
    tell_outcome(attempt, tally, seconds, sent, csv.written, page, cost)
    if tally.rows < rows:
        return states.unfinished(config, sent, tally, rows, csv.written)
    if csv.written is None:
        return states.unwritten(config, csv.problem, tally.rows)
    if sent.unsaved:
        return states.unsaved(sent, csv.written)
    if problem := push(config, attempt, tally, origin, csv.written, cost):
        return states.unpushed(config, problem, csv.written)
    return states.finished(config, tally, csv.written)
