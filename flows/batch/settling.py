"""Batch jobs that earlier runs, or earlier wakes of this one, have left: settled before a run plans anything.

A run that woke up to look does so before it reads its data; while nothing has ended, it goes to sleep again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field

from prefect import get_run_logger, runtime

from flows.batch.at_work import deadline_of
from flows.batch.fittings import fittings
from flows.display import Display, displayed
from flows.runners.interrupt import interruptible
from flows.watcher import BatchWatcher
from tasks.answer_chunk import process
from tasks.batches import groups_of
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.earlier import Earlier, EarlierGroups
from tasks.core.answering.batch.flight import due_later
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.patience import FIRST_LOOK_SECONDS, MOST_LOOK_SECONDS
from tasks.core.batches import AtWork, BatchJob
from tasks.core.checkpoint.groups import Group, GroupRecords, groups_counted
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.lock import JobLock
from tasks.core.config.batch import Mode
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.errors import Deferred, InputError, RunStopped, StopReason
from tasks.core.planning.job_costs import price_for
from tasks.core.reporting.progress import Progress
from tasks.core.text import counted

CANCELLED_SECONDS = 60.0  # until a deployed run looks whether jobs have ended that it has cancelled


@dataclass(slots=True)
class Settled:
    """`in_flight`: rows by sample key that are not to be sent. `early_end`: why this run goes no further now."""

    in_flight: Counter[str] = field(default_factory=Counter)
    early_end: RunStopped | Deferred | None = None


def settle_batches(config: RunConfig, storage: Storage, job: str, lock: JobLock) -> Settled:
    """Collect what has ended, and wait for the rest, or say when to look again.

    Raises:
        InputError: rows are in batch jobs, and the run is to send rows online.
        OSError: the storage cannot be used.
    """
    records = GroupRecords(storage, job)
    under_way = records.under_way()
    mine = [group for group in under_way if _is_mine(config, group)]
    _tell_of_others([group for group in under_way if group not in mine and group.phase.in_flight])
    if not mine:
        return Settled()
    process.requests.loop()
    rows, logger = sum(group.rows for group in mine), get_run_logger()
    watcher = BatchWatcher(Progress(rows, 0, config.model, logger, price_for(config)))
    deadline = deadline_of(config, records)
    known = [(group.rows, BatchJob(group.batch)) for group in mine if group.batch]
    watcher.at_work(AtWork.of(known, time.time(), deadline))  # until the first look has told more
    settling = _Settling(config, storage, job, lock, deadline, watcher)
    waits = config.mode is not Mode.ONLINE and not runtime.deployment.id
    waiting = displayed(watcher.progress, logger) if waits else nullcontext(Display(watcher.progress))
    with waiting as display, interruptible(settling.stop, display.wipe, batches=True):
        return process.requests.run_from_thread(settling.settle())


class _Settling:
    def __init__(
        self,
        config: RunConfig,
        storage: Storage,
        job: str,
        lock: JobLock,
        deadline: float | None,
        watcher: BatchWatcher,
    ) -> None:
        self._config, self._storage, self._job, self._lock, self._deadline = config, storage, job, lock, deadline
        self._stopped, self._watcher = asyncio.Event(), watcher
        self._records = GroupRecords(storage, job)
        self._logger = get_run_logger()

    def stop(self) -> None:
        """From any thread."""
        process.requests.loop().call_soon_threadsafe(self._stopped.set)

    async def settle(self) -> Settled:
        settling, stopped = asyncio.create_task(self._settle()), asyncio.create_task(self._stopped.wait())
        await asyncio.wait((settling, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if settling.done():
            return settling.result()
        settling.cancel()
        await asyncio.wait((settling,))
        return Settled(early_end=RunStopped(StopReason.INTERRUPTED, "interrupted"))

    async def _settle(self) -> Settled:
        config, price = self._config, price_for(self._config)
        async with groups_of(config.generation, self._storage, self._job, self._lock.owner, price) as groups:
            earlier_groups = EarlierGroups(
                groups,
                self._records,
                self._storage,
                self._job,
                lambda group: _is_mine(config, group),
                self._watcher,
                sends=config.mode is not Mode.ONLINE,
                fitting_of=fittings(self._storage, self._job, config.generation),
            )
            seconds, told = FIRST_LOOK_SECONDS, -1
            while True:
                try:
                    earlier = await earlier_groups.settle()
                except RunStopped as stopped:
                    return Settled(early_end=stopped)
                except FAILURES as error:
                    return Settled(early_end=self._not_now(str(error)))
                if earlier.collected:
                    self._logger.info("%s of ended batch jobs collected", counted(earlier.collected, "row"))
                if self._is_over_time:
                    await _cancel(groups, earlier.in_flight)
                if settled := self._settled(earlier):
                    return settled
                if told != len(earlier.in_flight):
                    self._logger.info("Waiting for %s", due_later(earlier.in_flight, time.time()).message)
                    seconds, told = FIRST_LOOK_SECONDS, len(earlier.in_flight)
                self._watcher.at_work(earlier.at_work(time.time() + seconds, self._deadline))
                await asyncio.sleep(seconds)
                seconds = min(1.5 * seconds, MOST_LOOK_SECONDS)

    def _settled(self, earlier: Earlier) -> Settled | None:
        """None: what is at work is waited for."""
        if not earlier.in_flight:
            return Settled()
        if runtime.deployment.id:
            if earlier.collected:
                return Settled(self._records.keys_of(earlier.in_flight))
            return Settled(early_end=self._later(earlier.in_flight))
        if self._config.mode is Mode.ONLINE:
            raise InputError(_refusal(earlier.in_flight))
        return None

    @property
    def _is_over_time(self) -> bool:
        return self._deadline is not None and time.time() >= self._deadline

    def _later(self, in_flight: list[Group]) -> Deferred:
        now = time.time()
        return due_later(in_flight, now, CANCELLED_SECONDS if self._is_over_time else None)

    def _not_now(self, why: str) -> RunStopped | Deferred:
        if runtime.deployment.id:
            later = due_later(self._records.in_flight(), time.time())
            return Deferred(later.until, f"{later.message}, which cannot be looked after now ({why})")
        return RunStopped(StopReason.API_DOWN, f"batch jobs cannot be looked after now: {why}")


async def _cancel(groups: Groups, in_flight: Collection[Group]) -> None:
    """Those whose jobs are known; the next look tells what came of it."""
    for group in in_flight:
        if group.batch:
            with suppress(*FAILURES):
                await groups.api.cancel(group.batch)


def _is_mine(config: RunConfig, group: Group) -> bool:
    """A resumed run goes on with all there is, a fresh one with what this flow run has sent before."""
    return config.resume or group.attempt.rpartition("-")[0] == str(runtime.flow_run.id)


def _tell_of_others(groups: list[Group]) -> None:
    if groups:
        get_run_logger().warning(
            "%s of an earlier run %s not ended; --resume waits, this run pays for the same rows again",
            *(groups_counted(groups), "has" if len(groups) == 1 else "have"),
        )


def _refusal(groups: list[Group]) -> str:
    not_ended = "has not ended, and its" if len(groups) == 1 else "have not ended, and their"
    return (
        f"{groups_counted(groups)} {not_ended} rows may be paid for; "
        f"--mode batch --resume waits for them; what else can be done says: {command(Program.BATCHES)}"
    )
