"""The end of a run whose batch jobs go on without it. Decides nothing."""

from typing import Any

from prefect import State, runtime
from prefect.states import AwaitingRetry, Cancelled, Failed

from flows.endings.way_on import way_on
from flows.outcome import tell
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.errors import REFUSALS, Deferred, RunStopped, StopReason


def before_planning(config: RunConfig, early_end: RunStopped | Deferred, job: str, under_way: str) -> State[Any]:
    """Jobs of earlier runs are not over, and nothing was sent. `under_way`: which, if any is at work."""
    way_out = way_on(config)
    match early_end:
        case Deferred(until=until, message=message):
            at = f"{until.astimezone():%Y-%m-%d %H:%M %Z}"
            if runtime.deployment.id:
                return AwaitingRetry(scheduled_time=until, message=f"{message}; the run looks again at {at}")
            return Failed(name="Deferred", message=f"{message}; from {at} on {way_out}")
        case RunStopped(reason=reason, message=message) if reason in REFUSALS:
            return Failed(name="Refused", message=message)
    tell(ways_on(job))
    then = "; ".join(filter(None, [under_way, way_out]))
    if early_end.reason is StopReason.INTERRUPTED:
        return Cancelled(name="Interrupted", message=f"Interrupted; {then}")
    return Failed(name="Incomplete", message=f"{early_end.reason}: {early_end.message}; {then}")


def ways_on(job: str) -> list[tuple[str, str]]:
    """What can be done, beside waiting, about batch jobs that go on without the run."""
    return [("collect", collect_command(job)), ("cancel", cancel_command(job))]


def collect_command(job: str) -> str:
    return f"{command(Program.BATCHES)} --collect {_name_of(job)}"


def cancel_command(job: str) -> str:
    return f"{command(Program.BATCHES)} --cancel {_name_of(job)}"


def _name_of(job: str) -> str:
    """The end of its key, which no other has."""
    return job.rpartition("-")[2]
