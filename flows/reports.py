"""`gemini-infer report`: the report of a checkpoint, made again. Sends nothing.

Works on the result storage that runs use; see checkpoints.py.
"""

import argparse
from collections.abc import Sequence

from flows.endings.exit_codes import ExitCode, ending_of
from tasks.core.config.command_line import Program, add_version, command
from tasks.core.environment.variables import load_environment
from tasks.core.text import visible


def report(arguments: Sequence[str]) -> int:
    """Write the report of a job and say where it is; returns the exit code."""
    options = _report_parser().parse_args(arguments)
    return ending_of(lambda: _report(options.name, options.output_dir))


def _report(name: str | None, output_dir: str | None) -> ExitCode:
    from flows.job_results import write_report
    from flows.jobs import newest
    from tasks.result_storage import default_storage, storage_of

    load_environment()
    storage = storage_of(default_storage())
    print(visible(write_report(storage, newest(storage) if name is None else name, output_dir)))
    return ExitCode.FINISHED


def _report_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=command(Program.REPORT),
        description="Write the HTML report of a checkpoint, finished or not, and send nothing.",
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="A part of the job's name or key. Default: the job that ran last."
    )
    parser.add_argument("--output-dir", metavar="DIR", help="Another folder than the run's.")
    add_version(parser)
    return parser
