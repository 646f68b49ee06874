"""How whoever started a run goes on with it, in the way it was started: a command, a button, a call."""

from prefect import runtime

from flows.in_python.caller import caller
from tasks.core.config.command_line import resume_command
from tasks.core.config.parameters import RunConfig
from tasks.core.config.setting_names import with_parameters

RETRY = "press Retry"


def as_asked(message: str) -> str:
    """`message`, which names flags, with the names that whoever started this run has typed or seen."""
    typed_flags = not (runtime.deployment.id or caller())
    return message if typed_flags else with_parameters(message, RunConfig.model_fields)


def again(config: RunConfig) -> str:
    """What sends the open rows of this run again."""
    if runtime.deployment.id:
        return RETRY
    return "infer(…, resume=True)" if caller() else resume_command(config)


def way_on(config: RunConfig, purpose: str = "continue") -> str:
    """`continue with: COMMAND`, or `press Retry to continue`."""
    return f"{RETRY} to {purpose}" if runtime.deployment.id else f"{purpose} with: {again(config)}"
