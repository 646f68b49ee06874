"""The flow: every row of a data set through Gemini, into one CSV.

parameters ─ resolve_dataset ─ plan ─ infer_chunk.map ─ assemble_csv ─ report
"""

if __name__ == "__main__":  # the command line first: it starts what takes long before it imports what takes long
    from flows.command import main

    raise SystemExit(main())

import os
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

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
from tasks.core.command_line import checked, resume_command
from tasks.core.config import RunConfig, TaskRunnerKind, takes
from tasks.core.environment import load_environment, origin_of
from tasks.core.errors import InputError, RunIncomplete, RunStopped, StopReason
from tasks.core.escaping import visible
from tasks.core.gemini import has_credentials, other_endpoint
from tasks.core.quota import quota_returns
from tasks.core.report import Tally, summary_lines
from tasks.dataset import resolve_dataset
from tasks.inference import infer_chunk
from tasks.output import assemble_csv, check_writable, csv_path, report
from tasks.planning import open_attempt
from tasks.storage import ResultStorage

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
@takes(RunConfig)
def infer(**parameters: Any) -> State[Any]:
    """Send every row of a data set through Gemini and write one CSV with every row in it."""
    try:
        config = effective(checked(parameters))
        with _api_of(config):
            return _put_off(_retried(_legible(_infer(config))))
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
    load_environment()
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
    started = time.monotonic()
    check(config)
    if not config.demo:
        _say_other_endpoint()
    data = resolve_dataset(config)
    attempt = open_attempt(config, data, ResultStorage.of(infer_chunk), str(runtime.flow_run.id), logger)
    sent = send(attempt, config)
    results = attempt.plan.reused | {result.row: result for result in sent.results}
    tally = Tally.of(results.values())
    attempt.checkpoints.close(attempt.run.attempt, tally.rows, tally.open)
    whole: Any = quote(results)  # else Prefect searches every row for futures
    if tally.rows < data.rows:
        if tally.rows:
            report(data.dataset, config.model, whole, data.rows, None)
        return _unfinished(config, sent, tally, data.rows)
    csv = assemble_csv(data, whole, csv_path(config.output_dir, config.model, config.split)).resolve()
    report(data.dataset, config.model, whole, data.rows, csv)
    for line in summary_lines(tally, time.monotonic() - started, len(attempt.plan.reused)):
        logger.info(line)
    if tally.open:
        return Failed(name="Incomplete", message=_worth_a_rerun(config, tally.open, csv))
    return Completed(message=f"{tally.rows:,} rows: {tally}. CSV: {csv}")


def _say_other_endpoint() -> None:
    """One line before anything is sent where the key and the prompts do not go to Google."""
    if other := other_endpoint():
        get_run_logger().warning(
            "The key and the prompts go to %s and not to Google: %s is set in %s",
            other.url,
            other.variable,
            origin_of(other.variable),
        )


def _unfinished(config: RunConfig, sent: Sent, tally: Tally, rows: int) -> State[Any]:
    """The state of a run that has no answer for some rows. The CSV of an earlier run stays as it is."""
    kept = f"{tally.rows:,} of {rows:,} rows are saved"
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
