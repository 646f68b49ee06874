"""Brings a group on its way, and bears with an API that has no room for it. One at a time."""

import logging
from collections.abc import Callable
from functools import partial

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.building import Built
from tasks.core.answering.batch.flight import Flight
from tasks.core.answering.batch.groups import Groups, Refused
from tasks.core.answering.batch.patience import FULL_SECONDS, MOST_LOOK_SECONDS
from tasks.core.answering.refusals import ACCOUNT, is_gone, refused_by
from tasks.core.batches import Making, Step
from tasks.core.checkpoint.groups import Group, Phase
from tasks.core.errors import ApiError, RunStopped, StopReason
from tasks.core.text import counted

UNSENT_SECONDS, MOST_UNSENT = 30.0, 30  # where there is no connection
MOST_LOST = 5  # creates in a row of which nothing came
logger = logging.getLogger(__name__)


class Submitter:
    """`bounds`: of the next groups; smaller once the API has refused one as too large.

    `stop`: hears why no group of the run would go.
    """

    def __init__(
        self,
        groups: Groups,
        attempt: str,
        flight: Flight,
        bounds: Bounds,
        stop: Callable[[RunStopped], object],
        watcher: Watcher,
    ) -> None:
        self.bounds, self._watcher = bounds, watcher
        self._groups, self._attempt, self._flight, self._stop = groups, attempt, flight, stop
        self._full = self._lost = 0  # in a row

    async def submit(self, built: Built) -> Group | None:
        """The group, SUBMITTED; None: nothing was paid for, and its rows are to be grouped anew.

        Raises:
            RunStopped: no group would go.
        """
        try:
            return await self._submit(built)
        except RunStopped as stopped:
            self._stop(stopped)
            raise
        finally:
            self._watcher.making(None)

    async def _submit(self, built: Built) -> Group | None:
        group = await self._uploaded(built)
        unsent = 0
        while group:
            if self._flight.is_over_time:  # it has waited for the API, or for a connection
                await self._groups.give_up(group, "the deadline came before its job")
                return None
            self._tell(Step.CREATING, built)
            created = await self._groups.create(group)
            if isinstance(created, Refused):
                self._tell(Step.WAITING, built)
                group = await self._borne(created, built)
                continue
            if created.phase is Phase.CREATING:
                self._tell(Step.FINDING, built)
                created = await self._settled(created)
            if created.phase is not Phase.REFUSED:
                return self._made(created)
            unsent += 1
            if unsent == MOST_UNSENT:
                await self._groups.give_up(created, created.why)
                raise RunStopped(StopReason.API_DOWN, created.why)
            await self._groups.sleep(UNSENT_SECONDS)
            group = created
        return None

    async def _uploaded(self, built: Built) -> Group | None:
        self._tell(Step.UPLOADING, built)
        group = await self._groups.plan(self._attempt, built)
        try:
            uploaded = await self._groups.upload(group, built, partial(self._tell, Step.UPLOADING, built))
        except FAILURES as error:
            raise RunStopped(StopReason.API_DOWN, f"a batch file could not be uploaded: {error}") from None
        if isinstance(uploaded, Group):
            return uploaded
        self._check(uploaded.error)
        await self._wait_for_room(uploaded.error, hopeless=True)
        return None

    def _tell(self, step: Step, built: Built, sent: int = 0) -> None:
        self._watcher.making(Making(step, len(built.rows), built.size, sent))

    async def _settled(self, group: Group) -> Group:
        try:
            return await self._groups.settle(group)
        except FAILURES as error:
            what = f"it could not be found out whether a batch job was made, --resume looks again: {error}"
            raise RunStopped(StopReason.API_DOWN, what) from None

    def _made(self, group: Group) -> Group | None:
        """What came of a create that was sent."""
        if group.phase is Phase.SUBMITTED:
            self._full = self._lost = 0
            return group
        self._lost += 1
        if self._lost >= MOST_LOST:
            raise RunStopped(StopReason.API_DOWN, f"of {MOST_LOST} batch jobs in a row none was made: {group.why}")
        return None

    async def _borne(self, refused: Refused, built: Built) -> Group | None:
        """The group once more, after a wait; None where it is given up for smaller ones."""
        error, group = refused.error, refused.group
        if is_gone(error):  # its input has expired
            await self._groups.give_up(group, group.why)
            return None
        try:
            self._check(error)
            ours = await self._wait_for_room(error, hopeless=len(built.rows) == 1)
        except RunStopped:
            await self._groups.give_up(group, group.why)
            raise
        if ours or len(built.rows) == 1:
            return group
        self.bounds = self.bounds.half_of(len(built.rows), built.tokens)
        await self._groups.give_up(group, "the API had no room for it, so it is halved")
        return None

    def _check(self, error: ApiError) -> None:
        """Raises RunStopped where waiting is of no use."""
        if error.code != 429 or refused_by(error) in ACCOUNT:
            reason = refused_by(error) or StopReason.REFUSED
            raise RunStopped(reason, f"{error.code} {error.status} {error.message}")

    async def _wait_for_room(self, error: ApiError, hopeless: bool) -> bool:
        """Whether groups of ours have filled the API; else this waits longer each time, and not for ever.

        `hopeless`: nothing smaller can be tried. A delay that the API names is not obeyed: 292 years have been seen.
        """
        if self._flight.groups:
            await self._flight.one_ended(2 * MOST_LOOK_SECONDS)
            return True
        if hopeless and self._full >= len(FULL_SECONDS):
            raise RunStopped(StopReason.API_DOWN, f"the API has no room for batch jobs: {error.message}")
        seconds = FULL_SECONDS[min(self._full, len(FULL_SECONDS) - 1)]
        self._full += 1
        logger.warning("The API has no room for a batch job (%s); next try in %s", error.message, _time(seconds))
        await self._groups.sleep(seconds)
        return False


def _time(seconds: float) -> str:
    return counted(round(seconds), "second") if seconds < 60 else counted(round(seconds / 60), "minute")
