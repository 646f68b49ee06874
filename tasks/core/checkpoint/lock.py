"""One writer a job: a record that its holder renews, on any storage, without a clock that machines share.

Who wants a job watches the record: a holder that is alive renews it. One that shows no sign of life for long
enough, or whose process is known to be gone from this machine, has lost it. Reading a checkpoint takes no lock.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from tasks.core.checkpoint.holder import BEAT_SECONDS, Holder, holder_of, thread_name
from tasks.core.checkpoint.layout import Storage, lock_key

DEAD_SECONDS = 45.0  # without a sign of life: four beats missed
LOOK_SECONDS = 1.0


class JobHeld(Exception):
    """Another run is at work on the job."""

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class JobLock:
    """Enter it to be the only writer of `job`, or to be told who is; `confirm` before the first request.

    `shared`: other machines send for this run; then only its signs of life count, not its process.
    `waiting(holder)` is called before the wait for a sign of life begins; `lost(holder)` from a thread of its own
    when another run has taken the job over, because this one stood still for too long.

    Raises:
        JobHeld: another run is at work on it.
        OSError: the storage cannot be read or written.
    """

    def __init__(
        self,
        storage: Storage,
        job: str,
        run: str,
        waiting: Callable[[Holder], object] = lambda holder: None,
        lost: Callable[[Holder], object] = lambda holder: None,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._storage, self._key = storage, lock_key(job)
        self._me = Holder.here(run)
        if shared:
            self._me.machine = "shared"
        self._waiting, self.lost, self._clock, self._sleep = waiting, lost, clock, sleep
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name=thread_name(self.owner), daemon=True)

    @property
    def owner(self) -> str:
        """What is unique about this claim."""
        return self._me.owner

    def __enter__(self) -> Self:
        while True:
            self._wait_for_the_dead()
            looked = self._clock()
            self._write()
            self._claimed = self._clock()
            if self._claimed - looked <= self._storage.settle_seconds:
                break
            self._release()  # so late that somebody may have claimed and confirmed meanwhile
            self._sleep(BEAT_SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(BEAT_SECONDS)
        self._release()

    def _release(self) -> None:
        with suppress(OSError):
            if (holder := holder_of(self._storage, self._key)) and holder.owner == self._me.owner:
                self._storage.delete([self._key])

    def confirm(self) -> None:
        """Call it before anything costs money: of two runs that claim the job at once, the last to write has it.

        Raises:
            JobHeld: another run has the job.
        """
        settling = self._claimed + self._storage.settle_seconds - self._clock()
        if settling > 0:
            self._sleep(settling)
        holder = holder_of(self._storage, self._key)
        if holder and holder.owner != self._me.owner:
            raise JobHeld(holder)

    def _wait_for_the_dead(self) -> None:
        holder = first = holder_of(self._storage, self._key)
        if holder and holder.runs_here is None:
            self._waiting(holder)
        since = self._clock()
        while holder and holder.runs_here is not False and self._clock() - since < DEAD_SECONDS:
            if holder.runs_here or first is None or (holder.owner, holder.beats) != (first.owner, first.beats):
                raise JobHeld(holder)
            self._sleep(LOOK_SECONDS)
            holder = holder_of(self._storage, self._key)

    def _write(self) -> None:
        self._storage.write(self._key, self._me.model_dump(mode="json"))

    def _keep_alive(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with suppress(OSError):  # a storage that is away for a while holds the sending back as well
                try:
                    self.confirm()
                except JobHeld as taken:
                    self.lost(taken.holder)
                    return
                self._me.beats += 1
                self._write()
