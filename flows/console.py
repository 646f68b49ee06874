"""`gemini-infer`: one name for the programs of this folder, and the same flags."""

import sys
from collections.abc import Sequence
from typing import Any

from flows import cli

HELP = """\
usage: gemini-infer [run] [flags]        send every row of a data set through Gemini; see gemini-infer run --help
       gemini-infer checkpoints [flags]  list, prune, write as CSV; see gemini-infer checkpoints --help
       gemini-infer batches [flags]      list, collect, cancel batch jobs; see gemini-infer batches --help
       gemini-infer report [NAME]        write the HTML report of a checkpoint again
       gemini-infer compare A B          put two results side by side on one page
       gemini-infer config [flags]       print the parameters of such a run as a file for --config
       gemini-infer ui                   open the history of runs in the Prefect UI, until Ctrl+C
       gemini-infer --version"""


def program() -> int:
    """The console script; returns its exit code."""
    return main(sys.argv[1:])


def main(arguments: Sequence[str]) -> int:
    """Do as the first of `arguments` says, with the rest as its flags. Without a word for it, `run`."""
    match arguments:
        case ["checkpoints", *flags]:
            from flows import checkpoints  # takes long

            return checkpoints.main(flags)
        case ["batches", *flags]:
            from flows.commands import batch_jobs

            return batch_jobs.main(flags)
        case ["report", *flags]:
            from flows.commands import reports

            return reports.report(flags)
        case ["compare", *flags]:
            from flows.commands import reports

            return reports.compare(flags)
        case ["config", *flags]:
            from flows.commands import configuration

            return configuration.main(flags)
        case ["ui", *flags]:
            from flows.commands import history

            return history.main(flags)
        case ["--help" | "-h"]:
            print(HELP)
            return 0
        case ["run", *flags] | [*flags]:
            return cli.program(_load_flow, flags)
        case _:
            raise AssertionError("a sequence has one of these forms")


def _load_flow() -> Any:
    from flows.infer import infer

    return infer
