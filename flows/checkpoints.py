"""Checkpoints, seen, removed, and made into a CSV without a request: `python flows/checkpoints.py --help`.

Works on the result storage that runs use: Prefect's local one, or the block that
PREFECT_DEFAULT_RESULT_STORAGE_BLOCK names.
"""

if __name__ == "__main__":
    import sys
    from pathlib import Path

    folder = Path(__file__).resolve().parent  # Python has put it first, where its modules would stand for libraries
    sys.path[:] = [*(path for path in sys.path if Path(path).resolve() != folder), str(folder.parent)]

    from flows import checkpoints  # this file again, as a module

    raise SystemExit(checkpoints.main(sys.argv[1:]))

import argparse
from collections.abc import Sequence
from datetime import timedelta

from flows.endings.exit_codes import ExitCode, ending_of
from tasks.core.config.program import Program, add_version, command
from tasks.core.environment.variables import load_environment
from tasks.core.text import seconds_in, visible


def main(arguments: Sequence[str]) -> int:
    """Do as `arguments` say; returns the exit code. What takes long is imported only once they are understood."""
    options = _parser().parse_args(arguments)
    return ending_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> ExitCode:
    from flows.commands.job_results import write_csv
    from flows.commands.jobs import look, prune, show
    from tasks.core.checkpoint.layout import jobs
    from tasks.result_storage import default_storage, storage_of

    storage = storage_of(default_storage())
    if options.write_csv is not None:
        load_environment()
        print(visible(write_csv(storage, options.write_csv, "--write-csv", options.output_dir).words))
        return ExitCode.FINISHED
    found = [look(storage, key) for key in jobs(storage)]
    if options.prune is None:
        show(found)
    else:
        prune(storage, [job for job in found if options.job in job.key], options.prune, bool(options.job))
    return ExitCode.FINISHED


def _duration(text: str) -> timedelta:
    seconds = seconds_in(text)
    if seconds is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30d, 12h or 0m")
    return timedelta(seconds=seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=command(Program.CHECKPOINTS), description="List checkpoints, prune them, or write their CSV."
    )
    parser.add_argument("--prune", metavar="AGE", type=_duration, help="Delete checkpoints this old: 30d, 12h, 0m.")
    parser.add_argument("--job", metavar="TEXT", default="", help="With --prune: only jobs whose key contains TEXT.")
    parser.add_argument(
        "--write-csv",
        metavar="JOB",
        help="Write the CSV of a checkpoint, finished or not, and send nothing. JOB: a part of its name or key.",
    )
    parser.add_argument("--output-dir", metavar="DIR", help="With --write-csv: another folder than the run's.")
    add_version(parser)
    return parser
