"""`gemini-infer report` and `gemini-infer compare`: pages about results that are there. They send nothing.

Works on the result storage that runs use; see checkpoints.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from flows.endings.exit_codes import ExitCode, ending_of
from tasks.core.config.program import Program, add_version, command
from tasks.core.environment.variables import load_environment
from tasks.core.text import visible


def report(arguments: Sequence[str]) -> int:
    """Write the report of a job and say where it is; returns the exit code."""
    options = _report_parser().parse_args(arguments)
    return ending_of(lambda: _report(options.name, options.output_dir))


def _report(name: str | None, output_dir: str | None) -> ExitCode:
    from flows.commands.job_results import write_report
    from flows.commands.jobs import newest
    from tasks.result_storage import default_storage, storage_of

    load_environment()
    storage = storage_of(default_storage())
    print(visible(write_report(storage, newest(storage) if name is None else name, output_dir)))
    return ExitCode.FINISHED


def compare(arguments: Sequence[str]) -> int:
    """Write a page about two results and say where it is; returns the exit code."""
    options = _compare_parser().parse_args(arguments)
    return ending_of(lambda: _compare(options.a, options.b, Path(options.output)))


def _compare(a: str, b: str, output: Path) -> ExitCode:
    from flows.commands.job_results import read_result
    from tasks.core.output.report.comparing import write_comparison
    from tasks.core.output.report.placing import place_comparison
    from tasks.core.output.report.sides import Side, side_of_file, side_of_job
    from tasks.result_storage import default_storage, storage_of

    load_environment()

    def side(name: str) -> Side:
        path = Path(name).expanduser()
        if path.is_file():
            return side_of_file(path.absolute())
        return side_of_job(read_result(storage_of(default_storage()), name, "compare").result)

    left, right = side(a), side(b)
    print(visible(f"Comparison: {place_comparison(output, lambda file: write_comparison(file, left, right))}"))
    return ExitCode.FINISHED


def _compare_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=command(Program.COMPARE),
        description="Put two results side by side on one HTML page: same prompts, both answers, what differs, costs.",
    )
    which = "A …_result.csv or …_result.parquet, or a part of a job's name or key."
    parser.add_argument("a", metavar="A", help=which)
    parser.add_argument("b", metavar="B", help="The same of the other.")
    parser.add_argument("--output", metavar="FILE", default="comparison.html", help="Default: comparison.html.")
    add_version(parser)
    return parser


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
