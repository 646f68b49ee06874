"""One run in one process: its chunks share an answerer and a journal here. Knows no kind of answerer, and no Prefect.

Each answer is in the journal as it comes. Lives on the loop of the requests.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from tasks.core.answering.base import Answerer, Watcher
from tasks.core.answering.item import Item
from tasks.core.answering.run import Run
from tasks.core.checkpoint.journal import Journal
from tasks.core.checkpoint.layout import Storage, chunk_key
from tasks.core.errors import Deferred, RunStopped, StopReason
from tasks.core.records import Chunk, Repeat, RowAnswer

LAST_SAVES_SECONDS = 5.0
LOOK_SECONDS = 1.0  # whether the run has stopped, while rows are read
logger = logging.getLogger(__name__)

type ReadItems = Callable[[], Iterable[Item]]
type MakeAnswerer = Callable[[Run, Storage, Watcher], Answerer]


@dataclass(slots=True)
class ChunkAnswers:
    """What a chunk has brought, and why that is not all, if it is not."""

    answers: list[RowAnswer] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    early_end: RunStopped | Deferred | None = None


class RunHere:
    """`deferred`: of the chunks whose answers are due later, the one that is due first."""

    def __init__(self, run: Run, storage: Storage, make_answerer: MakeAnswerer, watcher: Watcher) -> None:
        self.users = 0
        self.deferred: Deferred | None = None
        self.lock_watch: asyncio.Task[None] | None = None
        self._run, self._watcher = run, watcher
        self.answerer = make_answerer(run, storage, watcher)
        self.journal = Journal(storage, run.job, run.attempt, self._saving_failed, self._give_up)
        self.answerer.saves_by(self.journal.saved)

    async def answer(self, chunk: Chunk, read: ReadItems) -> ChunkAnswers:
        """The chunk's answers, saved by the time this returns, unless that stopped the run.

        `read`: brings the chunk's rows. It may block, and is not waited for once the run has stopped.
        """
        brought = ChunkAnswers()
        key = chunk_key(self._run.job, self._run.attempt, chunk.number)
        try:
            items = await self._in_a_thread(read)
            async with aclosing(self.answerer.answer(key, items)) as arriving:
                async for answer in arriving:
                    if isinstance(answer, Repeat):
                        brought.repeats.append(answer)
                        _tell(self._watcher.repeated, answer)
                    else:
                        brought.answers.append(answer)
                        self.journal.add(answer)
                        _tell(self._watcher.answered, answer)
            self.journal.chunk_done(chunk.number)
        except RunStopped as stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SAVES_SECONDS):
                    await self.journal.saved()
            brought.early_end = stopped
            return brought
        except Deferred as deferred:
            brought.early_end = deferred
            self.deferred = deferred.or_sooner(self.deferred)
        except asyncio.CancelledError:
            await asyncio.shield(self.journal.saved())
            raise
        if not await self.journal.saved():
            brought.early_end = RunStopped(StopReason.STORAGE, self._unsaved())
        return brought

    def stop(self, reason: StopReason, message: str) -> None:
        """End the run's chunks here, with what has arrived."""
        self.journal.hurry()
        self.answerer.stop(reason, message, self._run.limits.grace_seconds)

    async def close(self) -> list[RowAnswer]:
        """Returns the answers that could not be saved."""
        if self.lock_watch:
            self.lock_watch.cancel()
        unsaved = await self.journal.close(LAST_SAVES_SECONDS)
        await self.answerer.close()
        return unsaved

    async def _in_a_thread(self, read: ReadItems) -> Iterable[Item]:
        reading = asyncio.create_task(asyncio.to_thread(read))
        while not (await asyncio.wait({reading}, timeout=LOOK_SECONDS))[0]:
            if stopped := self.answerer.stopped:
                raise RunStopped(stopped.reason, stopped.message)
        return reading.result()

    def _saving_failed(self, now: bool) -> None:
        self.answerer.hold(now)
        self._watcher.saving_failed(self.journal.trouble if now else "")

    def _give_up(self, why: str) -> None:
        self.answerer.stop(StopReason.STORAGE, self._unsaved(), self._run.limits.grace_seconds)

    def _unsaved(self) -> str:
        return f"the result storage cannot be written: {self.journal.trouble}"


def _tell[T](watcher: Callable[[T], object], what: T) -> None:
    try:
        watcher(what)
    except Exception:  # whoever watches a run must not end it
        logger.debug("progress could not be told", exc_info=True)
