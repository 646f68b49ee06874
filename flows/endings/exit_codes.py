"""What a shell is told of the end of a run. Imports nothing that takes long: bad input is told before."""

from enum import IntEnum


class ExitCode(IntEnum):
    """As `--help` lists them."""

    FINISHED = 0
    FAILED = 1  # or finished with rows worth trying again
    BAD_INPUT = 2
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


_OF_STATES = {
    "Refused": ExitCode.BAD_INPUT,
    "Interrupted": ExitCode.INTERRUPTED,
    "Cancelled": ExitCode.INTERRUPTED,
}


def exit_code(name: str | None, completed: bool) -> ExitCode:
    """The code of a flow run that ended in the state called `name`."""
    return ExitCode.FINISHED if completed else _OF_STATES.get(name or "", ExitCode.FAILED)
