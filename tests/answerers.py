"""A kind of answerer that asks nobody: it proves that nothing above the seam knows which one it talks to."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime

from tasks.core.answering.base import Watcher
from tasks.core.answering.deadline import Deadline
from tasks.core.answering.item import Item
from tasks.core.errors import Deferred, RunStopped, StopReason
from tasks.core.records import Kind, Outcome, RowAnswer


class TableAnswerer:
    """Answers a text from `table`. A text that is not there is due at `due`, or where that is None stops the run."""

    def __init__(self, table: Mapping[str, str], due: datetime | None = None, watcher: Watcher | None = None) -> None:
        self.table, self.due, self.watcher = table, due, watcher or Watcher()
        self.stopped: RunStopped | None = None
        self.closed = False
        self.chunks: list[str] = []

    async def answer(self, chunk: str, items: Iterable[Item]) -> AsyncGenerator[RowAnswer]:
        self.chunks.append(chunk)
        missing = 0
        for item in items:
            await asyncio.sleep(0)
            if self.stopped:
                raise RunStopped(self.stopped.reason, self.stopped.message)
            prepared = await item.prepare(Deadline(60, set()))
            if (text := self.table.get(item.sample.text)) is None:
                missing += 1
                continue
            yield item.answer_of(prepared, Outcome(Kind.ANSWERED, text))
        if missing and self.due:
            raise Deferred(self.due, f"{missing} answers are being made")
        if missing:
            self.stop(StopReason.API_DOWN, f"{missing} answers are not in the table", None)
            raise RunStopped(StopReason.API_DOWN, f"{missing} answers are not in the table")

    def stop(self, reason: StopReason, message: str, grace_seconds: float | None) -> None:
        self.stopped = self.stopped or RunStopped(reason, message)
        self.watcher.stopping(reason, 0)

    def hold(self, back: bool) -> None: ...

    def saves_by(self, saved: Callable[[], Awaitable[bool]]) -> None: ...

    async def models(self) -> list[str]:
        return ["a", "table"]

    async def close(self) -> None:
        self.closed = True
