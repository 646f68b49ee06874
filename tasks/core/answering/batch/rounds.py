"""One go at the open rows of a chunk: group after group is sent, and what comes of each is brought as it ends.

Judges no row, and saves none.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.building import Builder, Built
from tasks.core.answering.batch.chunk_rows import ChunkRows
from tasks.core.answering.batch.collecting import Result, of_gone
from tasks.core.answering.batch.finding import tells_nothing_there
from tasks.core.answering.batch.flight import Flight, InFlight
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.paying import GroupCost
from tasks.core.answering.batch.submitting import Submitter
from tasks.core.answering.item import Item
from tasks.core.batches import BatchJob
from tasks.core.checkpoint.groups import Phase
from tasks.core.records import RowAnswer


@dataclass(frozen=True, slots=True)
class Brought:
    """A group that has ended, and what came of its rows. `job`: None where the API knows nothing of it any more."""

    flying: InFlight
    job: BatchJob | None
    results: list[Result]


type Arrived = asyncio.Queue[Brought | RowAnswer | None]


class Gate:
    """One group of a process at a time is built and created, as long as answers can be saved."""

    def __init__(self) -> None:
        self._one_at_a_time, self._may_send = asyncio.Lock(), asyncio.Event()
        self._may_send.set()

    def hold(self, back: bool) -> None:
        if back:
            self._may_send.clear()
        else:
            self._may_send.set()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        async with self._one_at_a_time:
            await self._may_send.wait()
            yield


class Round:
    """`arrived`: what comes of it. `some_again`: rows are left of which nothing was paid for."""

    def __init__(self, groups: Groups, flight: Flight, submitter: Submitter, builder: Builder, gate: Gate) -> None:
        self.arrived: Arrived = asyncio.Queue()
        self.some_again = False
        self._groups, self._flight, self._submitter = groups, flight, submitter
        self._builder, self._gate = builder, gate

    async def send(self, rows: ChunkRows) -> None:
        """Group after group, and wait for all of them."""
        waiting = set[asyncio.Task[None]]()
        try:
            async with aclosing(
                self._builder.build(self._taken_up(rows), lambda: self._submitter.bounds, rows.without_media)
            ) as groups:
                while not self._flight.is_over_time:
                    await self._flight.room()
                    flying = None
                    try:
                        async with self._gate.entered():
                            if (built := await anext(groups, None)) is None:
                                break
                            if isinstance(built, RowAnswer):
                                self.arrived.put_nowait(built)
                                continue
                            flying = await self._submitted(built)
                    finally:
                        if flying is None:
                            self._flight.give_room()
                    if flying is None:
                        self.some_again = True
                    else:
                        waiting.add(asyncio.create_task(self._bring(flying)))
            for task in waiting:
                await task
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    def _taken_up(self, rows: ChunkRows) -> Iterator[Item]:
        for item in rows.to_send():
            self._flight.note_progress()
            yield item

    async def _submitted(self, built: Built) -> InFlight | None:
        await self._flight.space(built.size)
        if self._flight.is_over_time:  # it has waited for room, or for the budget
            self._groups.paying.settle(built.most, GroupCost())
            return None
        group = await self._submitter.submit(built)
        return self._flight.add(group, built.rows) if group else None

    async def _bring(self, flying: InFlight) -> None:
        """What comes of a group, once it has ended and its results can be had."""
        try:
            while job := await asyncio.shield(flying.ended):
                try:
                    results = await self._groups.results(flying.group, job, flying.rows)
                except FAILURES as error:
                    group = flying.group
                    if tells_nothing_there(error):
                        group = await self._groups.missing(group, str(error))
                    if group.phase is Phase.GONE:
                        flying.group = group
                        break
                    self._flight.add_again(flying, group)
                    continue
                self.arrived.put_nowait(Brought(flying, job, results))
                return
            self.arrived.put_nowait(Brought(flying, None, of_gone(flying.rows, flying.group.why)))
        finally:
            self._flight.give_room()
