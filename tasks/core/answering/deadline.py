"""A timeout that looks at the socket before the clock.

A process that stood still (a closed laptop, SIGSTOP) wakes with its deadlines passed and its answers lying unread in
the socket. asyncio.timeout would throw them away; this one gives the loop a moment to read them first.
"""

import asyncio
from types import TracebackType
from typing import Self

STOOD_STILL_SECONDS = 1.0  # a deadline met so much too late was not met by a busy loop
READ_SECONDS = 5.0  # to read what has come meanwhile, 500 answers and more
SAME_TURN_SECONDS = 0.02  # for what arrived in the very turn of the loop in which the deadline passed


class Deadline:
    """`async with Deadline(seconds)`: TimeoutError once that time has passed and nothing is left to read.

    While it runs it is one of `running`.
    """

    def __init__(self, seconds: float, running: "set[Deadline]") -> None:
        self.seconds, self._running = seconds, running
        self._looked = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        await self._timeout.__aenter__()
        self._when = self._loop.time() + self.seconds
        self._timer = self._loop.call_at(self._when, self._passed)
        self._running.add(self)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.discard(self)
        self._timer.cancel()
        await self._timeout.__aexit__(exc_type, exc_value, traceback)

    def shorten(self, when: float) -> None:
        """Let it pass at `when`, on the loop's clock, if that is sooner."""
        if when < self._when:
            self._when = when
            self._timer.cancel()
            self._timer = self._loop.call_at(when, self._passed)

    def _passed(self) -> None:
        late = self._loop.time() - self._when
        if self._looked:
            self._timeout.reschedule(self._loop.time())
            return
        self._looked = True
        self._timer = self._loop.call_later(
            READ_SECONDS if late > STOOD_STILL_SECONDS else SAME_TURN_SECONDS, self._passed
        )
