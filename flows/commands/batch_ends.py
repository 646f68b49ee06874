"""Batch jobs of a checkpoint, collected or cancelled by hand. Sends no row."""

import asyncio
import sys
from uuid import uuid4

from flows.commands.job_results import write_csv
from flows.commands.jobs import JobRun, the_job
from flows.endings.batches import collect_command
from flows.endings.exit_codes import ExitCode
from flows.preflight import api_of
from tasks.answer_chunk import fitting_of
from tasks.batches import groups_of
from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.earlier import Earlier, EarlierGroups
from tasks.core.answering.batch.groups import Groups
from tasks.core.batches import BatchJob, Making
from tasks.core.checkpoint.attempts import close_attempt_record
from tasks.core.checkpoint.groups import Group, GroupRecords
from tasks.core.checkpoint.holder import Holder
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.lock import DEAD_SECONDS, JobHeld, JobLock
from tasks.core.config.command_line import resume_command
from tasks.core.environment.credentials import check_credentials
from tasks.core.errors import InputError
from tasks.core.planning.job_costs import price_for
from tasks.core.records import Kind
from tasks.core.reporting.batch_words import job_words, making_words
from tasks.core.text import counted, visible

ASK_SECONDS, LOOKS = 10.0, 60  # ten minutes for jobs to end


class _Told(Watcher):
    """Says what becomes of each job."""

    def making(self, what: Making | None) -> None:
        if what:
            print(making_words(what), flush=True)

    def job(self, job: BatchJob) -> None:
        print(visible(job_words(job)), flush=True)


def collect(storage: Storage, text: str, output_dir: str | None) -> ExitCode:
    """Take the answers of ended batch jobs of the job that `text` names into its checkpoint, its CSV and report.

    Raises:
        InputError: there is no such job, or a run is at work on it.
        RunStopped, ApiError, ConnectionError, MalformedAnswer: nothing can be known of them now.
    """
    job = the_job(storage, text, "--collect")
    if not job.config.demo:
        check_credentials()
    try:
        with api_of(job.config), JobLock(storage, job.key, _me(), _tell_who_is_waited_for) as lock:
            earlier = asyncio.run(_settled(storage, job, lock.owner))
    except JobHeld as held:
        raise InputError(f"{held.holder} is at work on this job, and collects its batch jobs itself") from None
    left = earlier.in_flight
    at_work = f"{counted(len(left), 'batch job')} with {counted(sum(group.rows for group in left), 'row')} at work"
    if left and not earlier.collected:
        print(f"Nothing has ended: {at_work}; look again with: {collect_command(job.key)}")
        return ExitCode.FAILED
    made = write_csv(storage, job.key, "--collect", output_dir)
    done = made.tally.rows - made.tally.kinds[Kind.UNSENT]
    close_attempt_record(storage, job.key, job.manifest.attempt, done, made.tally.retryable)
    print(visible(made.words))
    if left:
        print(f"{at_work}; look again with: {collect_command(job.key)}")
    elif made.tally.retryable:
        rows = counted(made.tally.retryable, "row")
        print(visible(f"{rows} can be sent again: {resume_command(job.config)}"))
    return ExitCode.FAILED if left or made.tally.retryable else ExitCode.FINISHED


def _me() -> str:
    return f"collect-{uuid4().hex[:8]}"


def _tell_who_is_waited_for(holder: Holder) -> None:
    print(f"{holder} holds this job; waiting up to {DEAD_SECONDS:.0f} s for a sign of life", file=sys.stderr)


async def _settled(storage: Storage, job: JobRun, owner: str) -> Earlier:
    generation, price = job.config.generation, price_for(job.config)
    async with groups_of(generation, storage, job.key, owner, fitting_of(generation), price) as groups:
        records = GroupRecords(storage, job.key)
        return await EarlierGroups(groups, records, storage, job.key, lambda group: True, _Told()).settle()


def cancel(storage: Storage, text: str) -> ExitCode:
    """Ask for the end of a job's batch jobs until they have ended, ten minutes at most."""
    job = the_job(storage, text, "--cancel")
    if not job.config.demo:
        check_credentials()
    with api_of(job.config):
        return asyncio.run(_cancel(storage, job))


async def _cancel(storage: Storage, job: JobRun) -> ExitCode:
    async with groups_of(job.config.generation, storage, job.key) as groups:
        left = GroupRecords(storage, job.key).in_flight()
        if not left:
            print("No batch jobs.")
            return ExitCode.FINISHED
        for look in range(LOOKS):
            left = await _cancelled(groups, left, ask=look % 6 == 0)
            if not left:
                break
            await asyncio.sleep(ASK_SECONDS)
    if left:
        print(f"Not ended yet: {', '.join(group.batch for group in left)}")
    print(f"What they have brought is collected with: {collect_command(job.key)}")
    return ExitCode.FAILED if left else ExitCode.FINISHED


async def _cancelled(groups: Groups, in_flight: list[Group], ask: bool) -> list[Group]:
    """Those that have not ended. One that was being created is looked for by the next run."""
    left = []
    for group in in_flight:
        if not group.batch:
            print(f"{group.display_name} was asked for when its run ended; whoever collects looks for it")
            continue
        job = await groups.api.get(group.batch)
        if job.ended:
            print(visible(job_words(job)), flush=True)
        else:
            if ask:
                await groups.api.cancel(group.batch)
            left.append(group)
    return left
