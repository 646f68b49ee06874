"""chaos_warm.py for runs by batch jobs: minutes pass in moments, and a run may be killed at a step of its own.

A step is a file below DIES_BELOW that is opened for writing, gets its name, or goes: each record, input, result and
CSV has some. A run that is told DIES_AT is killed, by SIGKILL, just before that step, the first being 0. What steps it
took stands in DIES_BELOW/steps, one a line.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

FASTER = 100.0  # so many times
STEPS = "steps"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def hurry(rows: int) -> None:
    """Before anything else is imported, which would have the times and the `rows` of a group as they are."""
    from tasks.core import text
    from tasks.core.answering.batch import patience
    from tasks.core.config import parameters

    for name, value in vars(patience).items():
        if name.endswith("_SECONDS") or name == "LISTED_AFTER":
            faster = tuple(each / FASTER for each in value) if isinstance(value, tuple) else value / FASTER
            setattr(patience, name, faster)
    parameters.BATCH_ROWS = rows
    for unit in text.UNIT_SECONDS:
        text.UNIT_SECONDS[unit] /= FASTER  # type: ignore[assignment]
    from flows.batch import at_work
    from tasks.core.answering.batch import submitting

    submitting.UNSENT_SECONDS /= FASTER
    at_work.STAY_SECONDS /= FASTER


def mortal(environment: dict[str, str]) -> None:
    """Let this process count its steps, and die where it is told."""
    tempfile.tempdir = None  # as this environment has it
    if below := environment.get("DIES_BELOW"):
        log = os.open(f"{below}/{STEPS}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        sys.addaudithook(_counting(below, int(environment.get("DIES_AT", "-1")), log))


def _counting(below: str, dies_at: int, log: int) -> Callable[[str, tuple[Any, ...]], None]:
    numbers = count()

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove") or not (path := _path(event, arguments)).startswith(below):
            return
        number = next(numbers)
        os.write(log, f"{event} {path.removeprefix(below)}\n".encode())
        if number == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return hear


def _path(event: str, arguments: tuple[Any, ...]) -> str:
    """Of the file that a step is about; empty where nothing is written."""
    path, _, flags = arguments if event == "open" else (arguments[event == "os.rename"], None, _WRITING)
    if isinstance(path, int) or not (isinstance(flags, int) and flags & _WRITING):
        return ""
    return os.fsdecode(path)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parent.parent)
    hurry(int(os.environ.get("GROUP_ROWS", "4")))
    from tests.chaos_warm import main

    main(mortal)
