"""How whoever started a run goes on with it, in the way it was started: a command, a button, a call."""

from prefect import runtime

from flows.in_python.caller import caller
from tasks.core.config.command_line import resume_command
from tasks.core.config.parameters import RunConfig

RETRY = "press Retry"


def again(config: RunConfig) -> str:
    """What sends the open rows of this run again."""
    if runtime.deployment.id:
        return RETRY
    return "infer(…, resume=True)" if caller() else resume_command(config)


def way_on(config: RunConfig, purpose: str = "continue") -> str:
    """`continue with: COMMAND`, or `press Retry to continue`."""
    return f"{RETRY} to {purpose}" if runtime.deployment.id else f"{purpose} with: {again(config)}"
