"""`python flows/infer.py`: reads the command line, checks what can be checked, runs the flow, says how it ended.

What takes long is imported only once the local server boots beside it; a wrong flag costs neither.
"""

import sys
from collections.abc import Sequence

from tasks.core.command_line import parse
from tasks.core.config import RunConfig
from tasks.core.errors import InputError

FINISHED, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_CODES = {"Refused": BAD_INPUT, "Interrupted": INTERRUPTED, "Cancelled": INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow as `arguments` say; returns the exit code."""
    try:
        return _run(parse(sys.argv[1:] if arguments is None else arguments))
    except InputError as error:
        print(error.line, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted before anything was sent.", file=sys.stderr)
        return INTERRUPTED


def _run(config: RunConfig) -> int:
    from flows.local_server import LocalServer

    server = LocalServer().start()
    try:
        import flows.infer as module
        from flows.logs import quiet_console
        from tasks.core.sources import resolve

        config = module.effective(config)
        module.check(config)
        resolve(config)
    except BaseException:
        server.abandon()
        raise
    with server:
        print(f"Prefect UI: {server.ui_url}", file=sys.stderr)
        quiet_console()
        state = module.infer(**config.model_dump(), return_state=True)
    if state.is_completed():
        print(state.message)
        return FINISHED
    print(state.message, file=sys.stderr)
    return _CODES.get(state.name or "", FAILED)
