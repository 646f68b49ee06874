"""The flow: every row of a data set through Gemini, into one CSV.

parameters ─ resolve_dataset ─ plan ─ infer_chunk.map ─ assemble_csv ─ report
"""

if __name__ == "__main__":  # the command line first: it starts what takes long before it imports what takes long
    from flows.command import main

    raise SystemExit(main())

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from dotenv import find_dotenv, load_dotenv
from prefect import State, flow, get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import AwaitingRetry, Cancelled, Completed, Failed
from prefect.utilities.annotations import quote

from flows.cluster import check_task_runner
from flows.event_loop import EventLoopTaskRunner
from flows.logs import without_expected_tracebacks
from flows.sending import Sent, send
from tasks.core.checkpoint.layout import job_key
from tasks.core.checkpoint.lock import DEAD_SECONDS, Holder, JobHeld, JobLock
from tasks.core.command_line import checked, resume_command
from tasks.core.config import RunConfig, TaskRunnerKind, takes
from tasks.core.errors import InputError, RunIncomplete, RunStopped, StopReason
from tasks.core.gemini import has_credentials
from tasks.core.quota import quota_returns
from tasks.core.records import unsent
from tasks.core.report import Tally, summary_lines
from tasks.dataset import resolve_dataset
from tasks.inference import infer_chunk
from tasks.output import assemble_csv, check_writable, csv_path, report
from tasks.planning import Attempt, plan_attempt
from tasks.storage import StorageError, storage_of_results

HELD_AGAIN = timedelta(minutes=5)  # until a deployed run looks again whether its job is free

without_expected_tracebacks()


def _run_name() -> str:
    parameters = runtime.flow_run.parameters
    name = Path(str(parameters.get("dataset") or ("demo" if parameters.get("demo") else "INFER_DATASET"))).name
    return f"{name} {parameters.get('split')} {parameters.get('model')}"


@flow(
    name="infer",
    description="Send every row of a data set through Gemini and write one CSV with every row in it.",
    flow_run_name=_run_name,
    task_runner=EventLoopTaskRunner(),  # type: ignore[arg-type]  # Prefect's parameter is invariant
    persist_result=False,
    validate_parameters=True,
)
@takes(RunConfig)
def infer(**parameters: Any) -> State[Any]:
    """Send every row of a data set through Gemini and write one CSV with every row in it."""
    try:
        config = effective(checked(parameters))
        with _api_of(config):
            return _put_off(_retried(_infer(config)))
    except InputError as error:
        return Failed(name="Refused", message=error.line)


def _retried(state: State[Any]) -> State[Any]:
    """`state`, raised where Prefect is to retry the flow: it retries exceptions only."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run and state.name == "Incomplete" and run.run_count <= (run.empirical_policy.retries or 0):
        raise RunIncomplete(state.message)
    return state


def _put_off(state: State[Any]) -> State[Any]:
    """`state`, or where the run is to go on later, the end of this process: Prefect knows no returned state like it."""
    if state.is_scheduled():
        with get_client(sync_client=True) as client:
            set_state = client.set_flow_run_state(UUID(runtime.flow_run.id), state).state
        get_run_logger().warning(state.message)
        raise Pause(state.message, state=set_state)
    return state


def effective(config: RunConfig) -> RunConfig:
    """`config` with what `.env` and the demo add to it."""
    load_dotenv(find_dotenv(usecwd=True))
    if config.demo and not config.dataset:
        from deployments.demo import DATASET

        return config.model_copy(update={"dataset": DATASET})
    return config.model_copy(update={"dataset": config.dataset or os.environ.get("INFER_DATASET")})


def _api_of(config: RunConfig) -> AbstractContextManager[None]:
    """The API of the environment, or the demo's emulator in its place."""
    if not config.demo:
        return nullcontext()
    from deployments.demo import demo

    return demo()


def check(config: RunConfig) -> None:
    """What can be known without the data.

    Raises:
        InputError: no key, a task runner that is not there, or an output folder that cannot be written.
    """
    if not config.demo and not has_credentials():
        raise InputError("GOOGLE_API_KEY is not set in .env file")
    check_task_runner(config)
    check_writable(csv_path(config.output_dir, config.model, config.split))


def _infer(config: RunConfig) -> State[Any]:
    logger = get_run_logger()
    check(config)
    data = resolve_dataset(config)
    storage = storage_of_results(infer_chunk)
    job = job_key(data.dataset, data.dataset_config, data.split, config.model)
    run_id = str(runtime.flow_run.id)

    def waiting(holder: Holder) -> None:
        logger.warning("%s holds this job; waiting up to %d s for a sign of life", holder, DEAD_SECONDS)

    try:
        with JobLock(storage, job, run_id, waiting) as lock:
            attempt = plan_attempt(config, data, job, storage, run_id, logger)
            lock.confirm()
            attempt.open(f"{data.dataset} {data.split}, {config.model}", config)
            return _answer(config, attempt, lock)
    except JobHeld as held:
        return _held(held.holder)
    except StorageError as error:
        return Failed(name="Incomplete", message=f"the result storage cannot be used, nothing was sent: {error}")


def _answer(config: RunConfig, attempt: Attempt, lock: JobLock) -> State[Any]:
    logger = get_run_logger()
    started = time.monotonic()
    data, plan = attempt.run.data, attempt.plan
    sent = send(attempt, config, lock)
    results = plan.reused | {result.row: result for result in sent.results}
    tally = Tally.of(results.values())
    csv: Path | None = None
    if sent.unsaved:  # the CSV has them at least
        results = {row: results.get(row) or unsent(row) for row in range(data.rows)}
    whole: Any = quote(results)  # else Prefect searches every row for futures
    if len(results) == data.rows:
        csv = assemble_csv(data, whole, csv_path(config.output_dir, config.model, config.split)).resolve()
    with _told("the checkpoint"):
        if sent.unsaved:
            attempt.save_late(sent.unsaved)
            sent.unsaved = []
    with _told("the report"):
        report(data.dataset, config.model, whole, data.rows, csv)
    with _told("the checkpoint's summary"):
        attempt.close(tally.rows, tally.open)
    if tally.rows < data.rows or csv is None:
        return _unfinished(config, sent, tally, data.rows, csv)
    for line in summary_lines(tally, time.monotonic() - started, len(plan.reused)):
        logger.info(line)
    if tally.open:
        return Failed(name="Incomplete", message=_worth_a_rerun(config, tally.open, csv))
    return Completed(message=f"{tally.rows:,} rows: {tally}. CSV: {csv}")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """What goes wrong here is told and ends nothing: the answers are there."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("%s could not be written: %s", what, " ".join(str(error).split()))


def _held(holder: Holder) -> State[Any]:
    """One writer a job: a deployed run comes back later, another one is told who it is."""
    what = f"another run is at work on this data set, split and model: {holder}"
    if runtime.deployment.id:
        at = datetime.now(UTC) + HELD_AGAIN
        return AwaitingRetry(scheduled_time=at, message=f"{what}; trying again at {at.astimezone():%H:%M %Z}")
    return Failed(name="Refused", message=f"{what}; wait for its end or stop it, then run this again with --resume")


def _unfinished(config: RunConfig, sent: Sent, tally: Tally, rows: int, csv: Path | None) -> State[Any]:
    """The state of a run that has no answer for some rows. The CSV of an earlier run stays as it is."""
    kept = f"{tally.rows - len(sent.unsaved):,} of {rows:,} rows are saved"
    if csv:
        kept += f", all {tally.rows:,} that were answered are in {csv}"
    if config.task_runner is not TaskRunnerKind.LOCAL:
        kept = f"at least {kept}"  # other processes save what a chunk has, whole or not
    way_out = f"continue with: {resume_command(config)}"
    match sent.stopped:
        case None:
            reason = sent.failures[0] if sent.failures else "chunks were lost"
            return Failed(
                name="Incomplete", message=f"{len(sent.failures)} chunks failed ({reason}); {kept}; {way_out}"
            )
        case RunStopped(reason=StopReason.INTERRUPTED):
            return Cancelled(name="Interrupted", message=f"Interrupted: {kept}; {way_out}")
        case RunStopped(reason=StopReason.REFUSED, message=message):
            models = f"; models this key can use: {', '.join(sent.models)}" if sent.models else ""
            return Failed(name="Refused", message=f"ValueError: the API refused {config.model}: {message}{models}")
        case RunStopped(reason=StopReason.QUOTA, message=message):
            return _until_quota_returns(config, f"quota: {message}; {kept}", way_out)
        case RunStopped(reason=reason, message=message):
            return Failed(name="Incomplete", message=f"{reason}: {message}; {kept}; {way_out}")


def _until_quota_returns(config: RunConfig, what: str, way_out: str) -> State[Any]:
    """A deployed run that was to resume anyway goes on by itself when the day's quota is back."""
    at = quota_returns(datetime.now(UTC))
    returns = f"the quota returns at {at:%Y-%m-%d %H:%M} Pacific ({at.astimezone():%Y-%m-%d %H:%M %Z})"
    if config.resume and runtime.deployment.id:
        return AwaitingRetry(scheduled_time=at, message=f"{what}; {returns}, and the run goes on then")
    return Failed(name="Incomplete", message=f"{what}; {returns}; {way_out}")


def _worth_a_rerun(config: RunConfig, open_rows: int, csv: Path) -> str:
    return f"{open_rows:,} rows are worth a re-run: {resume_command(config)}. CSV: {csv}"
