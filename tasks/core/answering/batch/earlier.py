"""Groups that an earlier process has left: none is forgotten, and none is made a second time.

What was not paid for is given up, what may have been is found, what has ended is collected into the checkpoint, under
the attempt that sent it. The rest is in flight. Reads no data set.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched
from uuid import uuid4

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.collecting import Result
from tasks.core.answering.batch.finding import tells_nothing_there
from tasks.core.answering.batch.flight import told_of
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.inputs import may_go_on
from tasks.core.answering.misfits import Fitting, held_to
from tasks.core.batches import AtWork, BatchJob, Making, Step
from tasks.core.checkpoint.contents import pack
from tasks.core.checkpoint.groups import Group, GroupRecords, Phase
from tasks.core.checkpoint.layout import Damaged, Storage, answers_key
from tasks.core.records import Kind, RowAnswer

RECORD_ROWS = 2000


@dataclass(slots=True)
class Earlier:
    """`in_flight`: groups whose rows may be paid for, and are not to be sent. `collected`: rows of ended ones.

    `jobs`: of those in flight that the API tells of, by the names of their groups.
    """

    in_flight: list[Group] = field(default_factory=list)
    collected: int = 0
    jobs: dict[str, BatchJob] = field(default_factory=dict)

    def at_work(self, next_look: float, deadline: float | None) -> AtWork:
        jobs = [(group.rows, self.jobs.get(group.name, BatchJob(group.batch))) for group in self.in_flight]
        return AtWork.of(jobs, next_look, deadline)


class EarlierGroups:
    """Those of a job, as far as `wanted` says so. Call it under the job's lock.

    `sends`: whether groups are sent afterwards, which may have the same input as one that nothing was paid for.
    `fitting_of`: what makes an answer fit the schema that an attempt has asked for; None: there is none.
    """

    def __init__(
        self,
        groups: Groups,
        records: GroupRecords,
        storage: Storage,
        job: str,
        wanted: Callable[[Group], bool],
        watcher: Watcher,
        sends: bool = True,
        fitting_of: Callable[[str], Fitting | None] = lambda attempt: None,
    ) -> None:
        self._groups, self._records, self._storage, self._job = groups, records, storage, job
        self._wanted, self._watcher, self._sends, self._fitting_of = wanted, watcher, sends, fitting_of

    async def settle(self) -> Earlier:
        """Bring them as far as they come without waiting for a job.

        Raises:
            RunStopped: some were made with another key.
            ApiError, ConnectionError, MalformedAnswer: nothing can be known of them now.
            OSError: the storage cannot be read or written.
        """
        under_way = [group for group in await asyncio.to_thread(self._records.under_way) if self._wanted(group)]
        earlier = Earlier([group for group in await self._all_known(under_way) if group.phase.in_flight])
        if not earlier.in_flight:
            return earlier
        for group, job in (await self._groups.look(earlier.in_flight)).values():
            if group.phase is Phase.GONE or (job.ended and await self._collect(group, job, earlier)):
                earlier.in_flight = [other for other in earlier.in_flight if other.name != group.name]
                self._watcher.job(told_of(group, job))
            else:
                earlier.jobs[group.name] = job
        return earlier

    async def _all_known(self, groups: Sequence[Group]) -> list[Group]:
        """All at once; where one cannot be known now, no other is looked for any longer."""
        try:
            async with asyncio.TaskGroup() as tasks:
                looking = [tasks.create_task(self._known(group)) for group in groups]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in looking]

    async def _known(self, group: Group) -> Group:
        match group.phase:
            case Phase.CREATING:
                self._watcher.making(Making(Step.FINDING, group.rows, 0))
                try:
                    return await self._groups.settle(group)
                finally:
                    self._watcher.making(None)
            case Phase.SUBMITTED | Phase.MISSING:
                return group
            case _ if self._sends and may_go_on(group, self._groups.clock()):
                return group
            case _:
                return await self._groups.give_up(group, "the run ended before it was created")

    async def _collect(self, group: Group, job: BatchJob, earlier: Earlier) -> bool:
        """Whether the group is over."""
        try:
            found = await self._groups.results(group, job)
        except FAILURES as error:
            if not tells_nothing_there(error):
                raise
            return (await self._groups.missing(group, str(error))).phase is Phase.GONE
        except Damaged as error:
            await self._groups.give_up(group, str(error))
            return True
        results = await asyncio.to_thread(self._fitted, group, found)
        for answer in await asyncio.to_thread(self._save, group, results):
            self._watcher.answered(answer)
        await self._groups.collected(group, job, results)
        earlier.collected += len(results)
        return True

    def _fitted(self, group: Group, results: Sequence[Result]) -> list[Result]:
        """As the attempt that has sent them would have them."""
        fitting = self._fitting_of(group.attempt)
        return [replace(found, outcome=held_to(fitting, found.outcome)) for found in results]

    def _save(self, group: Group, results: Sequence[Result]) -> list[RowAnswer]:
        """Those that are kept. A row whose media were refused stays open: this knows no text that could go alone."""
        answers = [found.answer() for found in results]
        kept = [a for a in answers if not (a.has_image and a.kind is Kind.INVALID_REQUEST)]
        writer = uuid4().hex[:12]
        for number, some in enumerate(batched(kept, RECORD_ROWS)):
            self._storage.write(answers_key(self._job, group.attempt, writer, number), pack(some))
        return kept
