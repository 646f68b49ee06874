"""Says on the terminal how far data has been read, every ten seconds; nothing of what takes less."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator

from tasks.core.clock import Clock
from tasks.core.text import visible

EVERY_SECONDS = 10.0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Meter:
    """`what` is being done, in the words of a line; `total`: of how many `unit`, where that is known."""

    def __init__(
        self,
        what: str,
        total: int | None = None,
        unit: str = "rows",
        *,
        clock: Clock = time.monotonic,
        say: Callable[[str], object] = _say,
    ) -> None:
        self._what, self._total, self._unit, self._clock, self._say = what, total, unit, clock, say
        self._done, self._next = 0, clock() + EVERY_SECONDS

    def over[T](self, items: Iterable[T], size: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
        """`items`, counted as they go by."""
        for item in items:
            yield item
            self._done += size(item)
            if (now := self._clock()) >= self._next:
                self._say(visible(self._line))
                self._next = now + EVERY_SECONDS

    @property
    def _line(self) -> str:
        if self._total is None:
            return f"{self._what}: {self._done:,} {self._unit} so far"
        return f"{self._what}: {self._done:,} of {self._total:,} {self._unit}"
