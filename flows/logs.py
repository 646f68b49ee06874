"""Keeps what Prefect logs short and harmless: no traceback for what a user can put right, no line per task run on a
terminal, no control character from data or model.
"""

import logging
from contextlib import suppress

from tasks.core.errors import InputError, RunIncomplete
from tasks.core.text import visible
from tasks.prefect_internals import INTERRUPTED_LINE, NOT_PERSISTED, STATE_LINES

_EXPECTED = (InputError, RunIncomplete)
_PLAIN = logging.Formatter()


def without_expected_tracebacks() -> None:
    """For flow and task runs, wherever they run; what they log still reaches the UI."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_one_line)
        logging.getLogger(name).addFilter(_legible)


def quiet_console() -> None:
    """Leave the line per task run to the UI: a terminal is no place for thousands of them."""
    logging.captureWarnings(True)  # they quote data as well, and would be printed as they are
    for handler in logging.getLogger().handlers:
        handler.addFilter(_worth_a_terminal)
        handler.addFilter(_legible)


def _one_line(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith(NOT_PERSISTED):  # dispatch.py says it once, for all chunks
        return False
    error = record.exc_info[1] if record.exc_info else None
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
    return not record.getMessage().startswith((*STATE_LINES, INTERRUPTED_LINE))  # main prints it, in a person's words
