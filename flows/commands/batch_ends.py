"""Batch jobs of a checkpoint, collected by hand. Sends no row."""

import asyncio
import sys
from uuid import uuid4

from flows.batch.fittings import fittings
from flows.commands.job_results import write_csv
from flows.commands.jobs import JobRun, the_job
from flows.endings.batches import collect_command
from flows.endings.exit_codes import ExitCode
from flows.preflight import api_of
from tasks.batches import groups_of
from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.earlier import Earlier, EarlierGroups
from tasks.core.batches import BatchJob, Making
from tasks.core.checkpoint.attempts import close_attempt_record
from tasks.core.checkpoint.groups import GroupRecords, groups_counted
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
    at_work = f"{groups_counted(left)} at work"
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
    async with groups_of(generation, storage, job.key, owner, price) as groups:
        return await EarlierGroups(
            groups,
            GroupRecords(storage, job.key),
            storage,
            job.key,
            lambda group: True,
            _Told(),
            fitting_of=fittings(storage, job.key, generation),
        ).settle()
