"""The end of a run whose batch jobs go on without it. Decides nothing."""

from typing import Any

from prefect import State, runtime
from prefect.states import AwaitingRetry, Cancelled, Failed

from flows.endings.way_on import way_on
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.errors import REFUSALS, Deferred, RunStopped, StopReason


def before_planning(config: RunConfig, early_end: RunStopped | Deferred, under_way: str) -> State[Any]:
    """Jobs of earlier runs are not over, and nothing was sent. `under_way`: see `goes_on`."""
    way_out = way_on(config)
    match early_end:
        case Deferred(until=until, message=message):
            at = f"{until.astimezone():%Y-%m-%d %H:%M %Z}"
            if runtime.deployment.id:
                return AwaitingRetry(scheduled_time=until, message=f"{message}; the run looks again at {at}")
            return Failed(name="Deferred", message=f"{message}; from {at} on {way_out}")
        case RunStopped(reason=StopReason.INTERRUPTED):
            return Cancelled(name="Interrupted", message=f"Interrupted; {under_way}; {way_out}")
        case RunStopped(reason=reason, message=message) if reason in REFUSALS:
            return Failed(name="Refused", message=message)
        case RunStopped(reason=reason, message=message):
            return Failed(name="Incomplete", message=f"{reason}: {message}; {under_way}; {way_out}")


def goes_on(jobs: str) -> str:
    """`jobs`: how many, with how many rows."""
    return f"{jobs} go on at Gemini, and cost the same ({command(Program.BATCHES)} --cancel ends them)"
