"""The state of each end of a run, with a message that says what is kept and how to go on. Decides nothing else."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import State, runtime
from prefect.states import AwaitingRetry, Cancelled, Completed, Failed

from flows.endings.way_on import RETRY, again, way_on
from flows.sent import Sent
from tasks.core.answering.quota import quota_returns
from tasks.core.checkpoint.holder import Holder
from tasks.core.config.groups.run import TaskRunnerKind
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.credentials import key_variable
from tasks.core.environment.variables import set_in
from tasks.core.errors import REFUSALS, Deferred, InputError, RunStopped, StopReason
from tasks.core.output.result import Written
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted

_WAIT = "they wait beside the CSV, and the next run with this --output-dir takes them over"
HELD_AGAIN = timedelta(minutes=5)  # until a deployed run looks again whether its job is free


def refused(error: InputError) -> State[Any]:
    """Bad input, found before anything was sent."""
    return Failed(name="Refused", message=error.line)


def finished(config: RunConfig, tally: Tally, written: Written) -> State[Any]:
    """Every row has a result; some may be worth a re-run."""
    if tally.retryable:
        way_out = again(config.model_copy(update={"retry_errors": []}))  # those have been asked
        message = f"CSV: {written}. {counted(tally.retryable, 'row')} can be sent again: {way_out}"
        return Failed(name="Incomplete", message=message)
    if tally.rows and not tally.successes:
        return Failed(
            name="Unanswered", message=f"CSV: {written}. Not one of {counted(tally.rows, 'row')} was answered: {tally}"
        )
    return Completed(message=f"CSV: {written}. {counted(tally.rows, 'row')}: {tally}")


def unwritten(config: RunConfig, why: str, rows: int) -> State[Any]:
    """Every row has a result, and the CSV could not be written."""
    kept = f"all {rows:,} rows are saved in the checkpoint and no answer is paid for again"
    return Failed(name="Incomplete", message=f"{why}; {kept}; {way_on(config, 'write it')}")


def unsaved(sent: Sent, written: Written) -> State[Any]:
    """Every row has a result and stands in the CSV, and the checkpoint lacks some."""
    message = f"{counted(len(sent.unsaved), 'answer')} could not be saved in the checkpoint; {_WAIT}"
    return Failed(name="Incomplete", message=f"CSV: {written}. {message}")


def unpushed(config: RunConfig, why: str, written: Written) -> State[Any]:
    """Every row has a result and stands in the CSV, and the Hub has not got it."""
    message = f"not pushed to {config.push_to_hub}: {why}; all rows are in {written}"
    return Failed(name="Incomplete", message=f"{message}; {way_on(config, 'push them again')}")


def unfinished(config: RunConfig, sent: Sent, tally: Tally, rows: int, written: Written | None) -> State[Any]:
    """Some rows have no result. `written`: a CSV all the same, for answers that could not be saved as they came."""
    kept = _kept(config, sent, tally, rows, written)
    way_out = way_on(config)
    match sent.stopped:
        case None if sent.deferred:
            return _until_due(sent.deferred, sent.failures, kept, way_out)
        case None:
            return Failed(name="Incomplete", message=f"{_failed(sent.failures)}; {kept}; {way_out}")
        case RunStopped(reason=StopReason.INTERRUPTED):
            return Cancelled(name="Interrupted", message=f"Interrupted: {kept}; {way_out}")
        case RunStopped(reason=StopReason.IMAGES, message=message):
            return Failed(name="Refused", message=f"{message}; {kept}; {way_out}")
        case RunStopped(reason=StopReason.QUOTA, message=message):
            return _until_quota_returns(config, f"quota: {message}; {kept}", way_out)
        case RunStopped(reason=StopReason.BUDGET, message=message):
            return Failed(name="Incomplete", message=f"{message}; {kept}; with more: {_with_more(config)}")
        case RunStopped(reason=StopReason.RUN_BUDGET, message=message):
            return Failed(name="Incomplete", message=f"{message}; {kept}; with as much again: {again(config)}")
        case RunStopped(reason=reason, message=message) if reason in REFUSALS:
            refusal = _refusal(reason, config.model, message, sent.models)
            return Failed(
                name="Refused",
                message=f"{refusal}; {kept}; {way_out}" if tally.rows else refusal,
            )
        case RunStopped(reason=reason, message=message):
            return Failed(name="Incomplete", message=f"{reason}: {message}; {kept}; {way_out}")


def held(holder: Holder) -> State[Any]:
    """One writer a job: a deployed run comes back later, another one is told who is at work."""
    what = f"another run is at work on this data set, split and model: {holder}"
    if runtime.deployment.id:
        at = datetime.now(UTC) + HELD_AGAIN
        return AwaitingRetry(scheduled_time=at, message=f"{what}; trying again at {at.astimezone():%H:%M %Z}")
    return Failed(name="Refused", message=f"{what}; wait for its end or stop it, then run this again with --resume")


def storage_unusable(error: OSError) -> State[Any]:
    """Nothing was sent: without a checkpoint, answers would be lost."""
    return Failed(name="Incomplete", message=f"the result storage cannot be used, nothing was sent: {error}")


def _kept(config: RunConfig, sent: Sent, tally: Tally, rows: int, written: Written | None) -> str:
    """A row that failed for a passing reason is sent again: nothing of it is kept."""
    unsaved = sum(not result.retryable for result in sent.unsaved)
    kept = f"{tally.rows - tally.retryable - unsaved:,} of {rows:,} rows are saved"
    if config.task_runner is not TaskRunnerKind.LOCAL:
        kept = f"at least {kept}"  # other processes save what a chunk has, whole or not
    if sent.unsaved:
        kept += f"; {len(sent.unsaved):,} more could not be: {_WAIT}"
    if sent.batches and not sent.deferred:  # which says as much
        kept += f"; {sent.batches}"
    return f"{kept}; all {tally.rows:,} with a result are in {written}" if written else kept


def _failed(failures: list[str]) -> str:
    return f"{counted(len(failures), 'chunk')} failed ({failures[0] if failures else 'chunks were lost'})"


def _refusal(reason: StopReason, model: str, message: str, models: list[str]) -> str:
    """What was refused, in the API's words, and what to do about it."""
    match reason:
        case StopReason.REFUSED_MODEL:
            known = f"; models this key can use: {', '.join(models)}" if models else ""
            beta = "; others are in GOOGLE_GENAI_API_VERSION=v1beta" if re.search(r"version v1\b", message) else ""
            return f"the API refused {model}: {message}; choose another with --model{known}{beta}"
        case StopReason.NO_QUOTA:
            return f"this key has no quota for {model}: {message}; choose another with --model, or another key"
        case StopReason.NO_CREDIT:
            return f"the API refused the key's account: {message}{_key_origin()}"
        case StopReason.REFUSED_KEY:
            return f"the API refused the key: {message}{_key_origin()}"
        case StopReason.REFUSED_ENDPOINT:
            way_out = "GOOGLE_GEMINI_BASE_URL says where it is; some know GOOGLE_GENAI_API_VERSION=v1beta only"
            return f"no such API there: {message}; {way_out}"
        case StopReason.REFUSED_PLACE:
            regions = "https://ai.google.dev/gemini-api/docs/available-regions"
            return f"the API is not offered where this machine is: {message} See {regions}"
        case _:
            return f"the API refused {model}: {message}"


def _key_origin() -> str:
    variable = key_variable()
    return f"; the key is {variable}, set in {set_in(variable)}" if variable else ""


def _with_more(config: RunConfig) -> str:
    """Retry has the parameters that the run had."""
    more = config.model_copy(update={"max_cost": 2 * (config.max_cost or 0.0)})
    if (way_out := again(more)) == RETRY:
        return f"a new run with resume and a max_cost such as {more.max_cost:g}"
    return way_out


def _until_quota_returns(config: RunConfig, what: str, way_out: str) -> State[Any]:
    """A deployed run that was to resume anyway goes on by itself when the day's quota is back."""
    at = quota_returns(datetime.now(UTC))
    returns = f"the quota returns at {at:%Y-%m-%d %H:%M} Pacific ({at.astimezone():%Y-%m-%d %H:%M %Z})"
    if config.resume and runtime.deployment.id:
        return AwaitingRetry(scheduled_time=at, message=f"{what}; {returns}, and the run goes on then")
    return Failed(name="Incomplete", message=f"{what}; {returns}; {way_out}")


def _until_due(deferred: Deferred, failures: list[str], kept: str, way_out: str) -> State[Any]:
    """A deployed run goes on by itself when the first answers are due; a re-run of it continues its own attempts."""
    failed = f"{_failed(failures)}; " if failures else ""
    what = f"answers are due later: {deferred.message}; {failed}{kept}"
    at = f"{deferred.until.astimezone():%Y-%m-%d %H:%M %Z}"
    if runtime.deployment.id:
        return AwaitingRetry(scheduled_time=deferred.until, message=f"{what}; the run goes on at {at}")
    return Failed(name="Deferred", message=f"{what}; from {at} on {way_out}")
