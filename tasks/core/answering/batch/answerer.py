"""Answers the samples of chunks by batch jobs. Rows that are left open go into another, and then as it is asked.

Knows neither Prefect nor the SDK. A job is waited for no longer than the limits say: its answers are due later then.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from pathlib import Path

from tasks.core.answering.base import Answerer, Watcher
from tasks.core.answering.batch.building import Builder, Sendable
from tasks.core.answering.batch.chunk_rows import ChunkRows
from tasks.core.answering.batch.flight import BatchLimits, Flight
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.rounds import Arrived, Brought, Gate, Round
from tasks.core.answering.batch.submitting import Submitter
from tasks.core.answering.image_guard import ImageGuard
from tasks.core.answering.item import Item
from tasks.core.checkpoint.layout import StorageError
from tasks.core.config.batch import Leftovers
from tasks.core.errors import Deferred, RunStopped, StopReason
from tasks.core.records import Kind, Outcome, Repeat, RowAnswer

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
        self._flight = Flight(groups, limits, self._obey, self._defer, self._watcher)
        self._submitter = Submitter(groups, attempt, self._flight, limits.bounds, self._obey, self._watcher)
        self._guard = ImageGuard(allow_missing_images)
        self._builder = Builder(groups.api, sendable, folder, groups.paying, self._media_told, self._watcher)
        self._make_online, self._close = online, close
        self._online: Answerer | None = None
        self._gate = Gate()
        self._under_way = set[Arrived]()
        self._saved: Callable[[], Awaitable[bool]] = _at_once

    async def answer(self, chunk: str, items: Iterable[Item]) -> AsyncGenerator[RowAnswer | Repeat]:
        """See Answerer.answer. `items` are gone through once more for each group that left some open."""
        rows = ChunkRows(items, self._leftovers.most_groups)
        while True:
            self._check()
            one = Round(self._groups, self._flight, self._submitter, self._builder, self._gate)
            async with aclosing(self._answers(one, rows)) as arriving:
                async for answer in arriving:
                    yield answer
            if self._flight.is_over_time or not (one.some_again or rows.some_open):
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
        self._gate.hold(back)
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

    async def _answers(self, one: Round, rows: ChunkRows) -> AsyncGenerator[RowAnswer]:
        """Send what is open, and yield what comes of it."""
        self._under_way.add(one.arrived)
        sending = asyncio.create_task(one.send(rows))
        sending.add_done_callback(lambda _: one.arrived.put_nowait(None))
        try:
            while (event := await one.arrived.get()) is not None:
                async for answer in self._taken(event, rows):
                    yield answer
        finally:
            self._under_way.discard(one.arrived)
            sending.cancel()
            await asyncio.wait([sending])
        while not one.arrived.empty():
            if (event := one.arrived.get_nowait()) is not None:
                async for answer in self._taken(event, rows):
                    yield answer
        error = None if sending.cancelled() else sending.exception()
        if isinstance(error, StorageError):
            error = RunStopped(StopReason.STORAGE, str(error))
        if isinstance(error, RunStopped) and not self._deferred:
            self._obey(error)
        self._check()
        if error:
            raise error

    async def _taken(self, event: Brought | RowAnswer, rows: ChunkRows) -> AsyncGenerator[RowAnswer]:
        """The answers that an event brings; its group is over once they are saved."""
        if isinstance(event, RowAnswer):
            rows.done(event.row)
            yield event
            return
        for result in event.results:
            if answer := rows.note(result):
                yield answer
        if event.job and await self._saved():
            with suppress(StorageError):  # it is collected once more then
                await self._groups.collected(event.flying.group, event.job, event.results)

    async def _left(self, chunk: str, rows: ChunkRows) -> AsyncGenerator[RowAnswer | Repeat]:
        """Rows that no group has answered."""
        if self._leftovers is Leftovers.ONLINE:
            items = [item for item, _ in rows.left()]
            if items:
                async with aclosing(self._answers_online(chunk, items)) as arriving:
                    async for answer in arriving:
                        yield answer
            return
        for item, last in rows.left():
            yield last or item.answer_of(item.failed(NOT_IN_TIME), NOT_IN_TIME)

    async def _answers_online(self, chunk: str, items: list[Item]) -> AsyncGenerator[RowAnswer | Repeat]:
        try:
            async with aclosing(self._online_answerer().answer(chunk, items)) as arriving:
                async for answer in arriving:
                    yield answer
        except RunStopped as stopped:
            if not self._deferred:
                self._obey(stopped)
            self._check()

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
        self._groups.paying.put_off()
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


async def _at_once() -> bool:
    return True
