"""`gemini-infer config`: what a run would be told, as a file for `--config`. Starts nothing and sends nothing."""

import sys
from collections.abc import Sequence

from flows.endings.exit_codes import ExitCode
from flows.preflight import with_environment
from tasks.core.config.command_line import parse
from tasks.core.config.config_file import as_toml
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program
from tasks.core.errors import InputError


def main(arguments: Sequence[str]) -> int:
    """Print it; returns the exit code."""
    try:
        asked = parse(arguments, Program.CONFIG)
        print(as_toml(_of_job(asked.job) if asked.job else with_environment(asked.config)), end="")
    except InputError as error:
        print(error.line, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.FINISHED


def _of_job(text: str) -> RunConfig:
    from flows.commands.jobs import the_job  # takes long
    from tasks.result_storage import default_storage, storage_of

    return the_job(storage_of(default_storage()), text, "--job").config
