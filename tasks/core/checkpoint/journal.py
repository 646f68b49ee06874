"""Puts answers on storage as they arrive: a new small record each time, at most a second after the first of them.

One journal a process and attempt; it lives on the event loop of the requests. A save that fails is tried again;
meanwhile `failing` says so, and whoever sends must hold back. Nothing added is ever forgotten by it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

from tasks.core.checkpoint.contents import pack
from tasks.core.checkpoint.layout import Storage, answers_key
from tasks.core.records import RowAnswer

logger = logging.getLogger(__name__)
FIRST_RETRY_SECONDS, MOST_RETRY_SECONDS = 0.5, 5.0
PATIENCE_SECONDS = 30.0  # of failed saves before the run is stopped


class Journal:
    """`failing(True)` is called when a save has failed, `failing(False)` when one succeeds again.

    `give_up(why)` is called once, when saves have failed for PATIENCE_SECONDS.
    """

    def __init__(
        self,
        storage: Storage,
        job: str,
        attempt: str,
        failing: Callable[[bool], object] = lambda now: None,
        give_up: Callable[[str], object] = lambda why: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._job, self._attempt = storage, job, attempt
        self.failing, self._give_up, self._clock = failing, give_up, clock
        self._writer, self._number = uuid4().hex[:12], 0
        self._rows: list[RowAnswer] = []
        self._done: list[int] = []
        self._saving: list[RowAnswer] = []
        self._added = self._saved = 0  # rows and finished chunks so far
        self._something = asyncio.Event()
        self._now = asyncio.Event()  # do not wait for more answers
        self._hurried = False
        self._progress = asyncio.Event()  # set and renewed at each save
        self._failed_since: float | None = None
        self._thread = ThreadPoolExecutor(1, "journal")  # its own: reading images may keep all others busy
        self.trouble = ""
        self._saver = asyncio.get_running_loop().create_task(self._save_as_they_come())

    def add(self, result: RowAnswer) -> None:
        self._rows.append(result)
        self._note()

    def chunk_done(self, number: int) -> None:
        """All answers of the chunk have been added."""
        self._done.append(number)
        self._note()

    def hurry(self) -> None:
        """From now on wait for no second answer: the process may be gone in a moment."""
        self._hurried = True
        self._now.set()

    async def saved(self) -> bool:
        """Save all that has been added so far, at once; False when saves have failed for too long."""
        wanted = self._added
        self._now.set()
        while self._saved < wanted:
            if self._gave_up() or self._saver.done():
                return False
            await self._progress.wait()
        return True

    async def close(self, patience_seconds: float) -> list[RowAnswer]:
        """Save what is left, for `patience_seconds` at most; returns what is still unsaved."""
        self.hurry()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                while self._saved < self._added and not self._saver.done():
                    await self._progress.wait()
        self._saver.cancel()
        await asyncio.wait([self._saver])
        self._thread.shutdown(wait=False)
        return self._saving + self._rows

    def _note(self) -> None:
        self._added += 1
        self._something.set()

    async def _save_as_they_come(self) -> None:
        while True:
            await self._something.wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._storage.gather_seconds)
            self._something.clear()
            if not self._hurried:
                self._now.clear()
            self._saving, self._rows = self._rows, []
            done, self._done = self._done, []
            await self._save(pack(self._saving) | ({"done": done} if done else {}))
            self._saved += len(self._saving) + len(done)
            self._saving = []
            self._moved()

    async def _save(self, value: dict[str, Any]) -> None:
        """Until it is on storage, however long that takes."""
        key = answers_key(self._job, self._attempt, self._writer, self._number)
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self._storage.write, key, value)
                break
            except Exception as error:  # whatever a storage raises, the answers are still here
                self._trouble(error)
            await asyncio.sleep(retry_seconds)
            retry_seconds = min(2 * retry_seconds, MOST_RETRY_SECONDS)
        self._number += 1
        if self._failed_since is not None:
            self._failed_since = None
            self.trouble = ""
            _tell(self.failing, False)

    def _trouble(self, error: Exception) -> None:
        self.trouble = " ".join(str(error).split()) or type(error).__name__
        if self._failed_since is None:
            self._failed_since = self._clock()
            _tell(self.failing, True)
        elif self._gave_up():
            _tell(self._give_up, self.trouble)
            self._moved()

    def _gave_up(self) -> bool:
        return self._failed_since is not None and self._clock() - self._failed_since >= PATIENCE_SECONDS

    def _moved(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()


def _tell[T](listener: Callable[[T], object], what: T) -> None:
    """Whoever listens must not end the saving."""
    try:
        listener(what)
    except Exception:
        logger.debug("could not be told", exc_info=True)
