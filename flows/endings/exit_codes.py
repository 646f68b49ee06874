"""What a shell is told of the end of a run. Imports nothing that takes long: bad input is told before."""

import signal
import sys
from collections.abc import Callable
from enum import IntEnum

from flows.runners.signals import clear_line, handled, raising
from tasks.core.environment.variables import without_telemetry
from tasks.core.errors import ApiError, InputError, MalformedAnswer, RunStopped
from tasks.core.text import visible


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


def ending_of(program: Callable[[], ExitCode]) -> ExitCode:
    """What a program without a flow ends with; what went wrong is one line."""
    without_telemetry()
    from tasks.core.checkpoint.layout import StorageError  # takes long

    try:
        with handled(raising(), signal.SIGINT, signal.SIGTERM):
            return program()
    except InputError as error:
        print(error.lines, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except StorageError as error:
        print(f"the result storage cannot be used: {error}", file=sys.stderr)
    except RunStopped as stopped:
        print(visible(stopped.message), file=sys.stderr)
    except ApiError as error:
        print(visible(f"the API refused: {error.code} {error.status} {error.message}"), file=sys.stderr)
    except (ConnectionError, MalformedAnswer) as error:
        print(visible(f"the API cannot be asked now: {error}"), file=sys.stderr)
    except KeyboardInterrupt:
        clear_line()
        print("Interrupted.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED
