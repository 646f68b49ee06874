"""The groups of a process that are on their way: how many at once, when to look, when to stop waiting.

Knows no chunk, and submits nothing. Lives on one event loop.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.patience import CANCEL_SECONDS, FIRST_LOOK_SECONDS, LATER_SECONDS, MOST_LOOK_SECONDS
from tasks.core.batches import AtWork, BatchJob
from tasks.core.checkpoint.groups import Group, Phase, PlannedRow, groups_counted
from tasks.core.errors import ApiError, Deferred, RunStopped, StopReason

MOST_ACTIVE = 90  # of the 100 that a project may have; others may use it as well
MOST_STORED_BYTES = 8_000_000_000  # of the 20 GB that a project may store; results and media count as well
_HOUR = 3600.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """`deadline`: from when on jobs are cancelled, in seconds since 1970. `wait_seconds`: without news, until the
    answers are said to be due later; None: they are waited for.
    """

    bounds: Bounds = field(default_factory=Bounds)
    deadline: float | None = None
    wait_seconds: float | None = None
    most_active: int = MOST_ACTIVE


@dataclass(slots=True)
class InFlight:
    """A submitted group. `job`: as the last look has found it. `ended`: that once it has ended; None where the API
    knows nothing of it any more.
    """

    group: Group
    rows: list[PlannedRow]
    job: BatchJob
    ended: "asyncio.Future[BatchJob | None]"
    cancelled_at: float | None = None


class Flight:
    """`stop` and `defer` hear, once, why no answers will come, or come later; `watcher` what is at work."""

    def __init__(
        self,
        groups: Groups,
        limits: BatchLimits,
        stop: Callable[[RunStopped], object],
        defer: Callable[[Deferred], object],
        watcher: Watcher,
    ) -> None:
        self._groups, self._limits, self._stop, self._defer, self._watcher = groups, limits, stop, defer, watcher
        self._room = asyncio.Semaphore(limits.most_active)
        self._flying: dict[str, InFlight] = {}
        self._one_ended = asyncio.Event()
        self._news_at = self._next_look = groups.clock()
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_over_time(self) -> bool:
        deadline = self._limits.deadline
        return deadline is not None and self._groups.clock() >= deadline

    @property
    def groups(self) -> list[Group]:
        return [flying.group for flying in self._flying.values()]

    async def room(self) -> None:
        """Wait until one more group may be on its way; it is given back by `give_room`."""
        await self._room.acquire()

    def give_room(self) -> None:
        self._room.release()

    def note_progress(self) -> None:
        """A group is being made ready: nobody is to be told that answers are due later while there are rows to send."""
        self._news_at = self._groups.clock()

    async def space(self, size: int) -> None:
        """Wait until an input of so many bytes may be stored beside those of groups on their way."""
        while self._flying and await self._groups.inputs.stored() + size > MOST_STORED_BYTES:
            await self._groups.sleep(FIRST_LOOK_SECONDS)

    def add(self, group: Group, rows: list[PlannedRow]) -> InFlight:
        """A group that was submitted, looked after from now on."""
        job = BatchJob(group.batch, group.display_name, "PENDING", requests=group.rows)
        flying = InFlight(group, rows, job, asyncio.get_running_loop().create_future())
        self._news_at = self._groups.clock()
        self._look_after(flying)
        self._watcher.job(job)
        self._tell_what_is_at_work()
        return flying

    def add_again(self, flying: InFlight, group: Group) -> None:
        """A group that has ended, and whose results could not be had."""
        flying.group, flying.ended = group, asyncio.get_running_loop().create_future()
        self._look_after(flying)

    async def one_ended(self, within_seconds: float) -> None:
        """Wait until a group has ended, or so long."""
        self._one_ended.clear()
        waiting = asyncio.ensure_future(self._groups.sleep(within_seconds))
        ended = asyncio.create_task(self._one_ended.wait())
        try:
            await asyncio.wait((waiting, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            ended.cancel()

    async def close(self) -> None:
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def _look_after(self, flying: InFlight) -> None:
        self._flying[flying.group.name] = flying
        if self._looking is None or self._looking.done():
            self._next_look = self._groups.clock() + FIRST_LOOK_SECONDS
            self._looking = asyncio.create_task(self._look_as_long_as_any_flies())

    async def _look_as_long_as_any_flies(self) -> None:
        try:
            await self._look_again_and_again()
        except RunStopped as stopped:
            self._stop(stopped)
        except Exception as error:  # everybody would wait for ever
            logger.debug("the look after batch jobs has failed", exc_info=True)
            self._stop(RunStopped(StopReason.API_DOWN, f"batch jobs cannot be looked after any more: {error}"))

    async def _look_again_and_again(self) -> None:
        seconds = FIRST_LOOK_SECONDS
        while self._flying:
            await self._groups.sleep(seconds)
            try:
                await self._cancel_late_ones()
                new = await self._look()
            except (*FAILURES, OSError) as error:  # which says nothing of any job
                logger.debug("could not look for batch jobs: %s", error)
                new = False
            seconds = FIRST_LOOK_SECONDS if new else min(1.5 * seconds, MOST_LOOK_SECONDS)
            self._next_look = self._groups.clock() + seconds
            self._tell_what_is_at_work()
            self._tell_of_no_news()

    async def _look(self) -> bool:
        """Whether any group has ended."""
        found = await self._groups.look([flying.group for flying in self._flying.values()])
        new = False
        for name, (group, job) in found.items():
            flying = self._flying[name]
            flying.group, flying.job = group, job
            if group.phase is Phase.GONE or job.ended:
                del self._flying[name]
                self._watcher.job(told_of(group, job))
                flying.ended.set_result(None if group.phase is Phase.GONE else job)
                new = True
        if new:
            self._news_at = self._groups.clock()
            self._one_ended.set()
        return new

    async def _cancel_late_ones(self) -> None:
        """Past the deadline each is asked to end, and asked again: not every wish is heard."""
        now = self._groups.clock()
        for flying in list(self._flying.values()) if self.is_over_time else []:
            if flying.cancelled_at is None or now - flying.cancelled_at >= CANCEL_SECONDS:
                flying.cancelled_at = now
                with suppress(*FAILURES):
                    await self._groups.api.cancel(flying.group.batch)

    def _tell_what_is_at_work(self) -> None:
        jobs = [(flying.group.rows, flying.job) for flying in self._flying.values()]
        self._watcher.at_work(AtWork.of(jobs, self._next_look, self._limits.deadline))

    def _tell_of_no_news(self) -> None:
        wait, now = self._limits.wait_seconds, self._groups.clock()
        if wait is not None and self._flying and now - self._news_at >= wait:
            self._defer(due_later(self.groups, now))


def told_of(group: Group, job: BatchJob) -> BatchJob:
    """A group's job that has ended, for whoever watches: with all of its rows, and why it is gone, if it is."""
    if group.phase is Phase.GONE:
        job = replace(job, state="UNKNOWN", done=True, error=ApiError(404, "NOT_FOUND", group.why))
    return replace(job, requests=group.rows)


def due_later(groups: list[Group], now: float, seconds: float | None = None) -> Deferred:
    """When to look again at groups in flight: after `seconds`, or the later, the longer they have been."""
    age = now - min(group.created for group in groups)
    seconds = seconds or LATER_SECONDS[0 if age < _HOUR else 1 if age < 4 * _HOUR else 2]
    return Deferred(datetime.fromtimestamp(now, UTC) + timedelta(seconds=seconds), f"{groups_counted(groups)} at work")
