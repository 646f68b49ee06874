"""A run from the command line: reads it, checks what can be checked, runs the flow, says how it ended.

What takes long is imported only once the local server boots beside it; a mistake that `preflight` sees costs neither.

Must not import flows.infer, whose file is also the program that imports this module. Whoever starts a run passes the
flow, as a function that imports it: `python flows/infer.py` in that file, `gemini-infer` in console.py.
"""

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from flows.endings.exit_codes import ExitCode, exit_code
from flows.importing import kept_for_good
from flows.local_server import LocalServerError
from flows.preflight import check, demo_data, with_environment
from flows.runners.signals import ONE_SECONDS, clear_line, handled, raising
from flows.services import check_services, on_server
from tasks.core.config.command_line import CommandLine, parse
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.variables import without_telemetry
from tasks.core.errors import InputError
from tasks.core.text import visible

if TYPE_CHECKING:
    from rich.table import Table

type LoadFlow = Callable[[], Any]


def program(load_flow: LoadFlow, arguments: Sequence[str]) -> int:
    """`main` as a program: what it has said is not taken back by a signal that comes while Python ends."""
    atexit.register(_on_signals, signal.SIG_IGN)  # the first to be registered is the last to be called
    code = main(load_flow, arguments)
    _on_signals(lambda *_: os._exit(code))
    return code


def _on_signals(handler: Any) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def main(load_flow: LoadFlow, arguments: Sequence[str]) -> int:
    """Run the flow as `arguments` say; returns the exit code. `load_flow` imports what takes long."""
    without_telemetry()
    os.umask(0o077)  # prompts and answers are nobody else's
    with handled(raising(), signal.SIGINT, signal.SIGTERM):
        try:
            asked = parse(arguments)
            if asked.show or asked.dry_run:
                return _look(asked)
            return _run(load_flow, asked.config)
        except InputError as error:
            print(error.lines, file=sys.stderr)
            return ExitCode.BAD_INPUT
        except LocalServerError as error:
            print(error, file=sys.stderr)
            return ExitCode.FAILED
        except KeyboardInterrupt:
            clear_line()
            print("Interrupted; answers that had arrived are saved, --resume continues.", file=sys.stderr)
            time.sleep(ONE_SECONDS)  # the signal's second half may still come
            return ExitCode.INTERRUPTED


def _look(asked: CommandLine) -> int:
    """At requests, or at what they would take; nothing is sent that costs."""
    config = with_environment(asked.config)
    if asked.dry_run:
        from flows.dry_run import estimated

        lines: Iterator[str | Table] = estimated(config)
    else:
        from flows.show import shown

        lines = shown(config, asked.show)
    for line in lines:
        if isinstance(line, str):
            print(visible(line), flush=True)
        else:
            from rich.console import Console  # for a terminal alone

            Console().print(line)
    return ExitCode.FINISHED


def _run(load_flow: LoadFlow, config: RunConfig) -> int:
    config = with_environment(config)  # with the environment: before the server and the libraries read their settings
    lines = check(config)
    check_services(config)
    dataset = "bundled samples" if config.demo and config.dataset == demo_data() else config.dataset
    for line in (*lines, f"Starting: {dataset} ({config.split}), {config.model}"):
        print(visible(line), file=sys.stderr, flush=True)

    def load() -> None:
        with kept_for_good():
            load_flow()

    with on_server(config, load) as server:
        from prefect.exceptions import TerminationSignal

        from flows.outcome import hearing

        print(server.greeting, file=sys.stderr)
        try:
            with hearing() as heard:
                state = load_flow()(**config.model_dump(), return_state=True)
        except TerminationSignal:  # SIGTERM outside the time when it is awaited
            raise KeyboardInterrupt from None
        completed = state.is_completed()
        for line in (*heard.table(), heard.ending(str(state.message), completed)):
            if line:
                print(visible(line), file=sys.stdout if completed else sys.stderr)
    code = exit_code(state.name, state.is_completed())
    if not server.is_all_sent:
        _leave_at_once(code)
    return code


def _leave_at_once(code: int) -> NoReturn:
    """Without what Prefect does at exit: it would go on sending, for minutes, to a server that does not take it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
