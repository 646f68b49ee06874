"""Keeps what Prefect logs short and harmless: no traceback for what a user can put right, no line per task run on a
terminal, no control character from data or model.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect.exceptions import CancelledRun, FailedRun
from prefect.logging.handlers import PrefectConsoleHandler

from flows.in_python.caller import caller
from flows.local_server import is_local
from tasks.core.errors import InputError, RunIncomplete
from tasks.core.text import visible
from tasks.prefect_internals import BEGIN_LINE, INTERRUPTED_LINE, LINK_LINE, NOT_PERSISTED, STATE_LINES

_EXPECTED = (InputError, RunIncomplete)
_PLAIN = logging.Formatter()
_TOLD_OTHERWISE = (*STATE_LINES, BEGIN_LINE, INTERRUPTED_LINE)  # by main, in a person's words
_OF_RUNS = ("prefect.flow_runs", "prefect.task_runs")
_OURS = (*_OF_RUNS, "flows.", "tasks.")  # all others are libraries


def without_expected_tracebacks() -> None:
    """For flow and task runs, wherever they run; what they log still reaches the UI."""
    for name in _OF_RUNS:
        logging.getLogger(name).addFilter(_one_line)
        logging.getLogger(name).addFilter(_legible)


def quiet_console() -> None:
    """Short lines on the console, and none per task run: a terminal is no place for thousands of them.

    What a notebook has from stderr looks like a fault there: of its runs only warnings are.
    """
    waiting = caller()
    in_notebook = waiting is not None and waiting.watches
    logging.captureWarnings(True)  # they quote data as well, and would be printed as they are
    root = logging.getLogger()
    for handler in root.handlers.copy():
        if isinstance(handler, PrefectConsoleHandler):  # others are the user's own, and hear all
            root.removeHandler(handler)
            root.addHandler(handler := _Console(handler.level, in_notebook))
            handler.addFilter(_worth_a_terminal)
            handler.addFilter(_legible)


@contextmanager
def warnings_alone() -> Iterator[None]:
    """On the console, in the block: what else is said there is shown otherwise."""
    consoles = [handler for handler in logging.getLogger().handlers if isinstance(handler, _Console)]
    levels = [handler.level for handler in consoles]
    for handler in consoles:
        handler.setLevel(max(handler.level, logging.WARNING))
    try:
        yield
    finally:
        for handler, level in zip(consoles, levels, strict=True):
            handler.setLevel(level)


class _Console(logging.Handler):
    """To what stderr is at the moment: a live display takes its place, and puts lines above itself."""

    def __init__(self, level: int, in_notebook: bool) -> None:
        super().__init__(level)
        self._in_notebook = in_notebook
        self.formatter = _Short(colours=sys.stderr.isatty() and not os.environ.get("NO_COLOR"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            stream = sys.stdout if self._in_notebook and record.levelno < logging.WARNING else sys.stderr
            stream.write(f"{self.format(record)}\n")
            stream.flush()
        except Exception:
            self.handleError(record)


class _Short(logging.Formatter):
    """`12:03:44 message`; with the level where it is not INFO, and the name of a library."""

    def __init__(self, colours: bool) -> None:
        super().__init__("%(asctime)s %(lead)s%(message)s", "%H:%M:%S")
        self._colours = colours

    def formatMessage(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        library = "" if record.name.startswith(_OURS) else f"{record.name}: "
        coloured = level if not self._colours else f"\x1b[33m{level}\x1b[0m" if level else ""
        record.lead = f"{coloured}{library}"
        return super().formatMessage(record)


def _one_line(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith(NOT_PERSISTED):  # dispatch.py says it once, for all chunks
        return False
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, FailedRun | CancelledRun):  # the state of the run itself, which has been told
        return False
    if isinstance(error, _EXPECTED):
        record.msg, record.args, record.exc_info = str(error), (), None
    if error is None:  # of a state that a task returned
        record.exc_info = None
    return True


def _legible(record: logging.LogRecord) -> bool:
    with suppress(TypeError, ValueError, KeyError):  # arguments that do not fit: logging says so, and ends nothing
        record.msg, record.args = visible(record.getMessage()), ()
    if record.exc_info and not record.exc_text:
        record.exc_text = visible(_PLAIN.formatException(record.exc_info))  # which formatters take before their own
    return True


def _worth_a_terminal(record: logging.LogRecord) -> bool:
    if record.name == "prefect.task_runs" and record.levelno < logging.WARNING:
        return False
    message = record.getMessage()
    if message.startswith(LINK_LINE):  # dead when the run is over
        return not is_local()
    return not message.startswith(_TOLD_OTHERWISE)
