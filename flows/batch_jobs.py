"""`gemini-infer batches`: batch jobs of all checkpoints that are not over, and their end. Makes none, collects none.

Only what is on record here is cancelled: other jobs of the project are somebody else's.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime

from flows.endings.exit_codes import ExitCode
from flows.jobs import the_job
from tasks.batches import groups_of
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.groups import Groups
from tasks.core.checkpoint.groups import Group, GroupRecords
from tasks.core.checkpoint.layout import Storage, StorageError, jobs
from tasks.core.config.command_line import resume_command
from tasks.core.config.program import Program, add_version, command
from tasks.core.environment.credentials import check_credentials
from tasks.core.environment.variables import load_environment
from tasks.core.errors import InputError, RunStopped
from tasks.core.text import counted, visible
from tasks.result_storage import default_storage, storage_of

ASK_SECONDS, LOOKS = 10.0, 60  # ten minutes for jobs to end


def main(arguments: Sequence[str]) -> int:
    """Do as `arguments` say; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        storage = storage_of(default_storage())
        if options.cancel is None:
            _show(storage)
            return ExitCode.FINISHED
        load_environment()
        check_credentials()
        return asyncio.run(_cancel(storage, options.cancel))
    except InputError as error:
        print(error.line, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except (StorageError, RunStopped, *FAILURES) as error:
        print(visible(str(error)), file=sys.stderr)
        return ExitCode.FAILED


def _show(storage: Storage) -> None:
    found = [(job, group) for job in jobs(storage) for group in GroupRecords(storage, job).in_flight()]
    if not found:
        print("No batch jobs.")
        return
    print(f"{'rows':>10} {'since':>16}  {'':9}  batch job, and the checkpoint that it belongs to")
    for job, group in found:
        since = f"{datetime.fromtimestamp(group.created):%Y-%m-%d %H:%M}" if group.created else "?"
        print(f"{group.rows:>10,} {since:>16}  {group.phase:9}  {visible(group.batch or group.display_name)}")
        print(f"{'':38}  {job.split('/')[-1]}")


async def _cancel(storage: Storage, text: str) -> int:
    """Ask for the end of a job's batch jobs until they have ended, ten minutes at most."""
    job, _, config = the_job(storage, text, "--cancel")
    async with groups_of(config.generation, storage, job) as groups:
        left = GroupRecords(storage, job).in_flight()
        for look in range(LOOKS):
            left = await _cancelled(groups, left, ask=look % 6 == 0)
            if not left:
                break
            await asyncio.sleep(ASK_SECONDS)
    if left:
        print(f"{counted(len(left), 'batch job')} have not ended yet: {', '.join(group.batch for group in left)}")
    print(f"What they have brought is collected with: {resume_command(config)}")
    return ExitCode.FAILED if left else ExitCode.FINISHED


async def _cancelled(groups: Groups, in_flight: list[Group], ask: bool) -> list[Group]:
    """Those that have not ended. One that was being created is looked for by the next run."""
    left = []
    for group in in_flight:
        if not group.batch:
            print(f"{group.display_name} was being created when its run ended; a resumed run looks for it")
        elif not (await groups.api.get(group.batch)).ended:
            if ask:
                await groups.api.cancel(group.batch)
            left.append(group)
    return left


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=command(Program.BATCHES), description="List batch jobs that are not over, or cancel those of a job."
    )
    parser.add_argument(
        "--cancel", metavar="JOB", help="Cancel the batch jobs of a job. JOB: a part of its name or key."
    )
    add_version(parser)
    return parser
