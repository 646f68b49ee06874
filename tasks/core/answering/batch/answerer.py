"""Answers the samples of chunks by batch jobs. Rows that are left open go into another, and then as it is asked.

Knows neither Prefect nor the SDK. A job is waited for no longer than the limits say: its answers are due later then.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.core.answering.base import Answerer, Watcher
from tasks.core.answering.batch.api import FAILURES
from tasks.core.answering.batch.building import Builder, Built, Sendable
from tasks.core.answering.batch.chunk_rows import ChunkRows
from tasks.core.answering.batch.collecting import Result
from tasks.core.answering.batch.finding import tells_nothing_there
from tasks.core.answering.batch.flight import BatchLimits, Flight, InFlight
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.submitting import Submitter
from tasks.core.answering.image_guard import ImageGuard
from tasks.core.answering.item import Item
from tasks.core.batches import BatchJob
from tasks.core.checkpoint.groups import Phase
from tasks.core.checkpoint.layout import StorageError
from tasks.core.config.batch import Leftovers
from tasks.core.errors import Deferred, RunStopped, StopReason
from tasks.core.records import Kind, Outcome, Repeat, RowAnswer


@dataclass(frozen=True, slots=True)
class _Brought:
    """A group that has ended, and what came of its rows."""

    flying: InFlight
    job: BatchJob
    results: list[Result]


type _Event = _Brought | RowAnswer | None
NOT_IN_TIME = Outcome(Kind.UNSENT, detail="not answered by --deadline; --resume sends it")


class BatchAnswerer:
    """An Answerer. `online`: makes the one that leftovers go to. `close`: gives back what all of it works with."""

    def __init__(
        self,
        groups: Groups,
        attempt: str,
        sendable: Sendable,
        folder: Path,
        online: Callable[[], Answerer],
        limits: BatchLimits,
        leftovers: Leftovers = Leftovers.ONLINE,
        watcher: Watcher | None = None,
        allow_missing_images: bool = False,
        close: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.stopped: RunStopped | None = None
        self._deferred: Deferred | None = None
        self._groups, self._leftovers, self._watcher = groups, leftovers, watcher or Watcher()
        self._flight = Flight(groups, limits, self._obey, self._defer)
        self._submitter = Submitter(groups, attempt, self._flight, limits.bounds, self._obey)
        self._guard = ImageGuard(allow_missing_images)
        self._builder = Builder(groups.api, sendable, folder, self._media_told)
        self._make_online, self._close = online, close
        self._online: Answerer | None = None
        self._one_at_a_time = asyncio.Lock()  # one file on disk, one create
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._under_way = set[asyncio.Queue[_Event]]()
        self._saved: Callable[[], Awaitable[bool]] = _at_once

    async def answer(self, chunk: str, items: Iterable[Item]) -> AsyncGenerator[RowAnswer | Repeat]:
        """See Answerer.answer. `items` are gone through once more for each group that left some open."""
        rows = ChunkRows(items, self._leftovers.most_groups)
        while True:
            self._check()
            sent = _Sent()
            async with aclosing(self._round(rows, sent)) as arriving:
                async for answer in arriving:
                    yield answer
            if self._flight.is_over_time or not (sent.some_again or rows.some_open):
                break
        async with aclosing(self._left(chunk, rows)) as left:
            async for found in left:
                yield found

    def saves_by(self, saved: Callable[[], Awaitable[bool]]) -> None:
        """See Answerer.saves_by: a group is over once its answers are saved, and not before."""
        self._saved = saved

    def stop(self, reason: StopReason, message: str, grace_seconds: float | None) -> None:
        """See Answerer.stop. Jobs go on, whoever waits for them or not."""
        if self._online:
            self._online.stop(reason, message, grace_seconds)
        if self.stopped is None:
            self.stopped = RunStopped(reason, message)
            self._watcher.stopping(reason, 0)
        self._wake()

    def hold(self, back: bool) -> None:
        if back:
            self._may_send.clear()
        else:
            self._may_send.set()
        if self._online:
            self._online.hold(back)

    async def models(self) -> list[str]:
        return await self._online_answerer().models()

    async def close(self) -> None:
        await self._flight.close()
        if self._online:
            await self._online.close()
        if self._close:
            await self._close()

    async def _round(self, rows: ChunkRows, sent: "_Sent") -> AsyncGenerator[RowAnswer]:
        """Send what is open, and yield what comes of it."""
        arrived = asyncio.Queue[_Event]()
        self._under_way.add(arrived)
        sending = asyncio.create_task(self._send(rows, sent, arrived))
        sending.add_done_callback(lambda _: arrived.put_nowait(None))
        try:
            while (event := await arrived.get()) is not None:
                async for answer in self._taken(event, rows):
                    yield answer
        finally:
            self._under_way.discard(arrived)
            sending.cancel()
            await asyncio.wait([sending])
        while not arrived.empty():
            if (event := arrived.get_nowait()) is not None:
                async for answer in self._taken(event, rows):
                    yield answer
        self._check()
        if not sending.cancelled() and (error := sending.exception()):
            raise error

    async def _taken(self, event: _Brought | RowAnswer, rows: ChunkRows) -> AsyncGenerator[RowAnswer]:
        """The answers that an event brings; its group is over once they are saved."""
        if isinstance(event, RowAnswer):
            rows.done(event.row)
            yield event
            return
        for result in event.results:
            if answer := rows.note(result):
                yield answer
        if await self._saved():
            with suppress(StorageError):  # it is collected once more then
                await self._groups.collected(event.flying.group, event.job)

    async def _send(self, rows: ChunkRows, sent: "_Sent", arrived: "asyncio.Queue[_Event]") -> None:
        """Group after group, and wait for all of them."""
        waiting = set[asyncio.Task[None]]()
        try:
            async with aclosing(
                self._builder.build(rows.to_send(), lambda: self._submitter.bounds, rows.without_media)
            ) as groups:
                while not self._flight.is_over_time:
                    await self._flight.room()
                    flying = None
                    try:
                        async with self._one_at_a_time:
                            await self._may_send.wait()
                            if (built := await anext(groups, None)) is None:
                                break
                            if isinstance(built, RowAnswer):
                                arrived.put_nowait(built)
                                continue
                            flying = await self._submitted(built)
                    finally:
                        if flying is None:
                            self._flight.give_room()
                    if flying is None:
                        sent.some_again = True
                    else:
                        waiting.add(asyncio.create_task(self._bring(flying, sent, arrived)))
            for task in waiting:
                await task
        except StorageError as error:
            self.stop(StopReason.STORAGE, str(error), None)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _submitted(self, built: Built) -> InFlight | None:
        group = await self._submitter.submit(built)
        return self._flight.add(group, built.rows) if group else None

    async def _bring(self, flying: InFlight, sent: "_Sent", arrived: "asyncio.Queue[_Event]") -> None:
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
                        break
                    self._flight.add_again(flying, group)
                    continue
                arrived.put_nowait(_Brought(flying, job, results))
                return
            sent.some_again = True
        finally:
            self._flight.give_room()

    async def _left(self, chunk: str, rows: ChunkRows) -> AsyncGenerator[RowAnswer | Repeat]:
        """Rows that no group has answered."""
        if self._leftovers is Leftovers.ONLINE:
            items = [item for item, _ in rows.left()]
            if items:
                async with aclosing(self._online_answerer().answer(chunk, items)) as arriving:
                    async for answer in arriving:
                        yield answer
            return
        for item, last in rows.left():
            yield last or item.answer_of(item.failed(NOT_IN_TIME), NOT_IN_TIME)

    def _online_answerer(self) -> Answerer:
        if self._online is None:
            self._online = self._make_online()
            self._online.saves_by(self._saved)
        return self._online

    def _media_told(self, row: int, why: str) -> None:
        if not why:
            self._guard.accepted()
        elif stop := self._guard.fell_away(row, why):
            self.stop(stop.reason, stop.message, None)

    def _obey(self, stopped: RunStopped) -> None:
        self.stop(stopped.reason, stopped.message, None)

    def _defer(self, deferred: Deferred) -> None:
        self._deferred = deferred
        self._wake()

    def _wake(self) -> None:
        for arrived in self._under_way:
            arrived.put_nowait(None)

    def _check(self) -> None:
        """Raises what ends all chunks."""
        if self.stopped:
            raise RunStopped(self.stopped.reason, self.stopped.message)
        if self._deferred:
            raise Deferred(self._deferred.until, self._deferred.message)


@dataclass(slots=True)
class _Sent:
    """Of a round. `some_again`: rows are left of which nothing was paid for, or of whose job nothing is known."""

    some_again: bool = False


async def _at_once() -> bool:
    return True
