"""A group on its way: what is done when, and what is on record before it is done. Knows no chunk, and saves no answer.

    rows on record → upload → CREATING on record → create, once → SUBMITTED on record → ended → collected → COLLECTED

Killed anywhere, the next one to hold the job goes on from the record: before CREATING nothing was paid for; at CREATING
the job is looked for (finding.py); from SUBMITTED on it has a name.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from tasks.core.answering.batch.api import FAILURES, BatchApi, is_unclear
from tasks.core.answering.batch.building import Built
from tasks.core.answering.batch.collecting import Result, collect
from tasks.core.answering.batch.finding import find, tells_nothing_there
from tasks.core.answering.batch.inputs import Inputs
from tasks.core.answering.batch.patience import MISSING_SECONDS, until_answered
from tasks.core.answering.batch.paying import GroupCost, GroupPaying
from tasks.core.answering.misfits import Fitting
from tasks.core.batches import BatchJob, NotSent
from tasks.core.checkpoint.groups import Group, GroupRecords, Phase, PlannedRow
from tasks.core.clock import Clock, Sleep
from tasks.core.errors import ApiError, MalformedAnswer, RunStopped, StopReason

OTHER_KEY = (
    "a batch job of this checkpoint was made with another API key; rows of it may be paid for. Use a key of the same "
    "project (jobs are known by the project alone), or run without --resume"
)


@dataclass(frozen=True, slots=True)
class Refused:
    """The API has refused the create of `group`, or its upload: then the group is given up."""

    group: Group
    error: ApiError


class Groups:
    """The groups of a job, one step after the other. `confirm`: raises where another run has the job by now.

    `key_mark`: of the API key in use. `fitting`: see OnlineAnswerer. `paying`: settles what is over.
    """

    def __init__(
        self,
        api: BatchApi,
        records: GroupRecords,
        folder: Path,
        key_mark: str,
        fitting: Fitting | None = None,
        paying: GroupPaying | None = None,
        *,
        confirm: Callable[[], object] = lambda: None,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.api, self.clock, self.sleep = api, clock, sleep
        self._records, self._folder, self._key_mark, self._confirm = records, folder, key_mark, confirm
        self._fitting, self.paying = fitting, paying or GroupPaying()
        self.inputs = Inputs(api, records, self._note, clock, sleep)

    async def plan(self, attempt: str, built: Built) -> Group:
        """A new group, on record."""
        now = self.clock()
        name = f"{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S}-{uuid4().hex[:8]}"
        known = {"size": built.size, "digest": built.digest}
        return await asyncio.to_thread(self._records.plan, name, attempt, built.rows, now, **known)

    async def upload(self, group: Group, built: Built, sent: Callable[[int], object]) -> Group | Refused:
        """Its input at the API; the group is given up where that refuses it. `sent`: hears how far it is.

        Raises:
            ApiError, ConnectionError, MalformedAnswer: it cannot be done now; another process goes on with it.
        """
        try:
            return await self.inputs.upload(group, built, sent)
        except ApiError as error:
            if error.code >= 500:
                raise
            return Refused(await self.give_up(group, f"not uploaded: {error}"), error)

    async def create(self, group: Group) -> Group | Refused:
        """Ask for its job, once; CREATING: the answer is lost, and REFUSED: it was not sent at all.

        The answer is waited for and on record, whatever becomes of the caller meanwhile.
        """
        asking = asyncio.create_task(self._create(group))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(Exception):
                await asking
            raise

    async def _create(self, group: Group) -> Group | Refused:
        now = self.clock()
        group = await self._note(group, Phase.CREATING, created=group.created or now, key_mark=self._key_mark)
        await asyncio.to_thread(self._confirm)
        try:
            job = await self.api.create(group.display_name, group.file)
        except NotSent as error:
            return await self._note(group, Phase.REFUSED, why=str(error))
        except ApiError as error:
            if is_unclear(error):
                return group
            after = await self._note(group, Phase.REFUSED, why=f"{error.code} {error.message}")
            return Refused(after, error)
        except (ConnectionError, MalformedAnswer):
            return group
        return await self._note(group, Phase.SUBMITTED, batch=job.name)

    async def settle(self, group: Group) -> Group:
        """A group that was being created: SUBMITTED, or GONE.

        Raises:
            RunStopped: it was made with another key.
            ApiError, ConnectionError, MalformedAnswer: it cannot be known now.
        """
        await self._check_key(group)
        job = await find(self.api, group.display_name, group.file, group.since, self.clock, self.sleep)
        if job:
            return await self._note(group, Phase.SUBMITTED, batch=job.name)
        return await self.give_up(group, "no job came of its create")

    async def look(self, groups: Collection[Group]) -> dict[str, tuple[Group, BatchJob]]:
        """Those of the submitted groups that the API tells of, by name, with their jobs: by one page of the list.

        What is not on the page is asked for by name; a job that the API knows nothing of is GONE after ten minutes,
        and what cannot be asked now is as before: it is not there, and keeps its place.
        """
        page = await self.api.jobs()
        listed = {job.name: job for job in page.jobs}
        found: dict[str, tuple[Group, BatchJob]] = {}
        for group in groups:
            job = listed.get(group.batch)
            if job is None:
                try:
                    job = await self.api.get(group.batch)
                except FAILURES as error:
                    if tells_nothing_there(error):
                        found[group.name] = await self.missing(group, str(error)), BatchJob(group.batch)
                    continue
            if group.phase is Phase.MISSING and not job.ended:  # of one that has ended, the results may be missing
                group = await self._note(group, Phase.SUBMITTED)
            found[group.name] = group, job
        return found

    async def missing(self, group: Group, why: str) -> Group:
        """A group of whose job or results the API knows nothing: for the first time, or for good."""
        await self._check_key(group)
        if group.phase is not Phase.MISSING:
            return await self._note(group, Phase.MISSING, why=why)
        if self.clock() - group.since < MISSING_SECONDS:
            return group
        return await self.give_up(group, f"the API knows nothing of it: {why}")

    async def results(self, group: Group, job: BatchJob, rows: Sequence[PlannedRow] | None = None) -> list[Result]:
        """What came of its rows; raises as `collect`. They are to be saved before `collected` is called."""
        planned = await asyncio.to_thread(self._records.rows, group) if rows is None else rows
        return await until_answered(lambda: collect(self.api, job, planned, self._folder, self._fitting), self.sleep)

    async def collected(self, group: Group, job: BatchJob, results: Sequence[Result]) -> Group:
        """Its answers are saved. The job stays: the list is the proof of it. Its input goes before that is on record,
        for nobody looks after a group that is over.
        """
        await self.inputs.delete(group)
        cost = self.paying.cost_of((result.planned.most, result.outcome) for result in results)
        try:
            return await self._note(group, Phase.COLLECTED, state=job.state, at_most=cost.dollars)
        finally:  # whoever waits for the budget waits for this
            self.paying.settle(group.at_most, cost)

    async def give_up(self, group: Group, why: str) -> Group:
        """A group of which no job has come, and none is to come: a create that is late finds no input."""
        await self.inputs.delete(group)
        after = await self._note(group, Phase.GONE, why=why)
        self.paying.settle(group.at_most, GroupCost(after.at_most, after.at_most))
        return after

    async def _check_key(self, group: Group) -> None:
        """Jobs of another project are in no list, which is not the same as none.

        Raises:
            RunStopped: the group may be another project's.
        """
        if group.key_mark in ("", self._key_mark):
            return
        known = [other for other in await asyncio.to_thread(self._records.all) if other.batch]
        for other in known:
            if other.key_mark == group.key_mark:
                with suppress(*FAILURES):
                    await self.api.get(other.batch)
                    return
        raise RunStopped(StopReason.REFUSED_KEY, OTHER_KEY)

    async def _note(self, group: Group, phase: Phase, **known: Any) -> Group:
        return await asyncio.to_thread(self._records.note, group, phase, self.clock(), **known)
