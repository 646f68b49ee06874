"""The flow: every row of a data set through Gemini, into one CSV.

parameters ─ resolve_dataset ─ plan ─ answer_chunk.map ─ assemble_csv ─ report
"""

if __name__ == "__main__":  # the command line first: it starts what takes long before it imports what takes long
    from flows.cli import program

    raise SystemExit(program())

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import State, flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import Failed

from flows import endings
from flows.dispatch import Sent, send
from flows.logs import without_expected_tracebacks
from flows.preflight import check, with_environment
from flows.runners.event_loop import EventLoopTaskRunner
from tasks.answer_chunk import answer_chunk
from tasks.core.checkpoint.layout import StorageError
from tasks.core.checkpoint.lock import DEAD_SECONDS, Holder, JobHeld, JobLock
from tasks.core.config.command_line import checked
from tasks.core.config.parameters import RunConfig, TaskRunnerKind, with_parameters_of
from tasks.core.environment.endpoint import base_url, why_unreachable
from tasks.core.environment.open_files import make_room
from tasks.core.environment.proxies import without_password
from tasks.core.environment.variables import set_in
from tasks.core.errors import InputError, RunIncomplete
from tasks.core.files.own_results import Origin
from tasks.core.gemini.client import other_endpoint
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

without_expected_tracebacks()


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
    try:
        config = with_environment(checked(parameters))
        with _api_of(config):
            return _rescheduled(_retried(_legible(_infer(config))))
    except InputError as error:
        return Failed(name="Refused", message=error.line)


def _legible(state: State[Any]) -> State[Any]:
    """`state`, whose message may repeat what data or the API say."""
    return state.model_copy(update={"message": visible(state.message or "")})


def _retried(state: State[Any]) -> State[Any]:
    """`state`, raised where Prefect is to retry the flow: it retries exceptions only."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run and state.name == "Incomplete" and run.run_count <= (run.empirical_policy.retries or 0):
        raise RunIncomplete(state.message)
    return state


def _rescheduled(state: State[Any]) -> State[Any]:
    """`state`, or where the run is to go on later, the end of this process: Prefect knows no returned state like it."""
    if state.is_scheduled():
        with get_client(sync_client=True) as client:
            set_state = client.set_flow_run_state(UUID(runtime.flow_run.id), state).state
        get_run_logger().warning(state.message)
        raise Pause(state.message, state=set_state)
    return state


def _api_of(config: RunConfig) -> AbstractContextManager[None]:
    """The API of the environment, or the demo's emulator in its place."""
    if not config.demo:
        return nullcontext()
    from deployments.demo import demo

    return demo()


def _csv_path(config: RunConfig) -> Path:
    return csv_path(config.output_dir, config.model, config.split, config.demo)


def _infer(config: RunConfig) -> State[Any]:
    logger = get_run_logger()
    lines = check(config)
    if runtime.deployment.id:  # else whoever started it here has read them
        for line in lines:
            logger.warning(line)
    if not config.demo:
        _say_other_endpoint()
        if why := why_unreachable(base_url()):
            logger.warning("%s cannot be reached at the moment: %s", without_password(base_url()), why)
    config = _within_open_files(config)
    data = resolve_dataset(config)
    storage = storage_of_results(answer_chunk)
    origin = origin_of(config, data)
    run_id = str(runtime.flow_run.id)

    def waiting(holder: Holder) -> None:
        logger.warning("%s holds this job; waiting up to %d s for a sign of life", holder, DEAD_SECONDS)

    shared = config.task_runner is not TaskRunnerKind.LOCAL
    try:
        with JobLock(storage, origin.job, run_id, waiting, shared=shared) as lock:
            if late := take_over(_csv_path(config), origin.job, storage):
                logger.info("%d answers that an earlier run could not save are in the checkpoint now", late)
            attempt = plan_attempt(config, data, origin.job, storage, run_id, logger)
            lock.confirm()
            attempt.open(origin.name, config)
            answer = _answer(config, attempt, lock, origin)
    except JobHeld as held:
        return endings.held(held.holder)
    except StorageError as error:
        return endings.storage_unusable(error)
    return answer


def _within_open_files(config: RunConfig) -> RunConfig:
    """`config` with no more requests in flight than this process, or one of its children, may have connections."""
    if config.task_runner_address:  # somebody else's processes
        return config
    wanted = config.max_concurrent
    fit = make_room(wanted, per_request=2 if config.demo else 1)  # in a demo the API's end is here as well
    if fit < wanted:
        get_run_logger().warning(
            "--max-concurrent %d: the limit on open files (ulimit -n) has room for %d requests in flight; %d it is",
            *(wanted, fit, fit),
        )
    return config.model_copy(update={"max_concurrent": fit})


def _say_other_endpoint() -> None:
    """One line before anything is sent where the key and the prompts do not go to Google."""
    if other := other_endpoint():
        get_run_logger().warning(
            "The key and the prompts go to %s and not to Google: %s is set in %s",
            other.url,
            other.variable,
            set_in(other.variable),
        )


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
        return endings.unfinished(config, sent, tally, data.rows, written)
    if written is None:
        return endings.unwritten(config, problem, tally.rows)
    if sent.unsaved:
        return endings.unsaved(sent, written)
    for line in summary_lines(tally, time.monotonic() - started, plan.reused):
        get_run_logger().info(line)
    return endings.finished(config, tally, written)


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
