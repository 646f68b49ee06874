"""`gemini-infer ui`: the Prefect UI with the history of runs, for as long as somebody looks. Starts no run."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from flows.endings.exit_codes import ExitCode
from flows.local_server import LocalServer, LocalServerError
from flows.runners.signals import clear_line, handled, raising
from tasks.core.config.program import Program, add_version, command
from tasks.core.environment.variables import load_environment, without_telemetry


def main(arguments: Sequence[str]) -> int:
    """Say where the UI is, and keep its server until a signal comes; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=command(Program.UI),
        description="Start the local Prefect server, say where its UI is, and end it at Ctrl+C. Where PREFECT_API_URL "
        "names a server, say where the UI of that one is.",
    )
    add_version(parser)
    parser.parse_args(arguments)
    load_environment()
    without_telemetry()
    os.umask(0o077)
    with handled(raising(), signal.SIGINT, signal.SIGTERM):
        try:
            print("Opening the history of runs", file=sys.stderr, flush=True)  # a server takes seconds to start
            with LocalServer() as server:
                print(server.greeting, flush=True)
                if server.is_own:
                    print("Ctrl+C ends it; what runs have done is kept.", flush=True)
                    signal.pause()
        except LocalServerError as error:
            print(error, file=sys.stderr)
            return ExitCode.FAILED
        except KeyboardInterrupt:
            clear_line()
    return ExitCode.FINISHED
