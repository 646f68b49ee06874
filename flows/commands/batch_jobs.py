"""`gemini-infer batches`: batch jobs of all checkpoints that are not over: listed, collected, cancelled. Makes none.

Only what is on record here is cancelled: other jobs of the project are somebody else's.
"""

import argparse
from collections.abc import Sequence

from flows.endings.exit_codes import ExitCode, ending_of
from tasks.core.config.program import Program, add_version, command

_EXAMPLES = """

examples:
  {batches}                      those that are at work, with what to do next
  {batches} --collect questions  take what has ended into the CSV of that job
  {batches} --cancel questions   end those that are at work
"""


def main(arguments: Sequence[str]) -> int:
    """Do as `arguments` say; returns the exit code. What takes long is imported only once they are understood."""
    options = _parser().parse_args(arguments)
    return ending_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> ExitCode:
    from flows.commands.batch_cancel import cancel
    from flows.commands.batch_ends import collect
    from flows.commands.batch_list import show
    from tasks.core.environment.variables import load_environment
    from tasks.result_storage import default_storage, storage_of

    load_environment()
    storage = storage_of(default_storage())
    if options.collect is not None:
        return collect(storage, options.collect, options.output_dir)
    if options.cancel is not None:
        return cancel(storage, options.cancel)
    show(storage)
    return ExitCode.FINISHED


def _parser() -> argparse.ArgumentParser:
    program = command(Program.BATCHES)
    parser = argparse.ArgumentParser(
        prog=program,
        description="List batch jobs that are not over, collect what they have brought, or cancel them. Sends no row."
        + _EXAMPLES.format(batches=program),
        epilog="JOB: a part of the name or key of a checkpoint.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--collect", metavar="JOB", help="Collect the batch jobs of JOB that have ended, and write its CSV and report."
    )
    which.add_argument("--cancel", metavar="JOB", help="Cancel the batch jobs of JOB, and wait until they have ended.")
    parser.add_argument("--output-dir", metavar="DIR", help="With --collect: another folder than the run's.")
    add_version(parser)
    return parser
