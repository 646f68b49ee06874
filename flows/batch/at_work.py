"""The batch jobs of a run: what its chunks are told of them, and which go on without it."""

import time
from collections.abc import Sequence
from contextlib import suppress

from prefect import runtime

from flows.sent import Sent
from tasks.answer_chunk import process
from tasks.batches import groups_of
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.flight import due_later
from tasks.core.checkpoint.groups import Group, GroupRecords
from tasks.core.checkpoint.layout import Storage, StorageError
from tasks.core.checkpoint.lock import JobLock
from tasks.core.config.batch import BatchRun, Mode
from tasks.core.config.groups.batch import seconds_of
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import StopReason
from tasks.core.planning.attempt import Attempt
from tasks.core.reporting.batch_words import going_on

STAY_SECONDS = 900.0  # most jobs end in minutes; a deployed run that hears of none for so long sleeps


def batch_run(config: RunConfig, storage: Storage, job: str, lock: JobLock) -> BatchRun | None:
    """What the run's chunks are told of batch jobs; None: they are sent online."""
    if config.mode is Mode.ONLINE:
        return None
    wait = STAY_SECONDS if runtime.deployment.id else None
    return BatchRun(config.leftovers, deadline_of(config, GroupRecords(storage, job)), wait, lock.owner)


def has_batches(storage: Storage, job: str) -> bool:
    """Whether any batch job of it is not over."""
    return bool(GroupRecords(storage, job).under_way())


def under_way(storage: Storage, job: str) -> str:
    """What is said of batch jobs that go on without the run; empty where there are none."""
    return _going_on(_in_flight(storage, job))


def note_batches(sent: Sent, attempt: Attempt) -> None:
    """What goes on without the run; rows of earlier jobs, which it did not send, are due later as well.

    What was set aside for those is free then, but for what they have taken: a budget that is spent may not be.
    """
    if not (sent.stopped or sent.deferred or sent.failures):
        _give_up_uploads(attempt)
    groups = _in_flight(attempt.storage, attempt.run.job)
    sent.batches = _going_on(groups)
    stopped = sent.stopped.reason if sent.stopped else None
    if not attempt.plan.in_flight or sent.deferred or stopped not in (None, StopReason.BUDGET, StopReason.RUN_BUDGET):
        return
    if groups:
        sent.stopped, sent.deferred = None, due_later(groups, time.time())


def deadline_of(config: RunConfig, records: GroupRecords) -> float | None:
    """Counted from the first job that this flow run has created."""
    if not config.deadline:
        return None
    own = str(runtime.flow_run.id)
    created = [g.created for g in records.all() if g.created and g.attempt.rpartition("-")[0] == own]
    return min(created, default=time.time()) + seconds_of(config.deadline)


def _going_on(groups: Sequence[Group]) -> str:
    return going_on(len(groups), sum(group.rows for group in groups)) if groups else ""


def _give_up_uploads(attempt: Attempt) -> None:
    """All rows have gone: of what earlier runs have uploaded for a job, and never asked for, nothing is of use now."""

    async def give_up() -> None:
        async with groups_of(attempt.run.generation, attempt.storage, attempt.run.job) as groups:
            await groups.inputs.give_up_left()

    with suppress(StorageError, *FAILURES):  # else the next run does it
        if has_batches(attempt.storage, attempt.run.job):
            process.requests.loop()
            process.requests.run_from_thread(give_up())


def _in_flight(storage: Storage, job: str) -> list[Group]:
    try:
        return GroupRecords(storage, job).in_flight()
    except StorageError:  # whoever resumes is told
        return []
