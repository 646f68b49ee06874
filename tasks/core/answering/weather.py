"""How the API is doing, by its last outcomes. Pure bookkeeping: stops nothing, holds nothing back.

Weather is what meets every row: overload, a lost line. A failure counts against its row as far as weather does not
explain it, which the outcomes of other rows tell. Rate limits are no weather: they say what to do.
"""

import math
import time
from collections import deque
from collections.abc import Callable

LAST = 20  # outcomes that say how it is now
CALM = 0.1  # a share that fails even in good weather
OUT = 10  # failures without an answer between them: nobody is answered
PROBES = 3  # in flight at most while nobody is
LEAST_GAP_SECONDS, MOST_GAP_SECONDS = 1.0, 30.0
GAPS = 10  # in the time an outage has lasted
LONELY_SECONDS = 120.0  # few rows that fail this long beside nobody else are bad rows, not weather


class Weather:
    """Hears of each outcome that says whether the API can answer at all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._recent: deque[bool] = deque(maxlen=LAST)  # failed; since the last outage
        self._by_row: deque[tuple[int, bool]] = deque(maxlen=2 * LAST)
        self._failures = 0  # since the last answer
        self._failing: set[int] = set()  # rows
        self._since = 0.0

    def answered(self, row: int) -> None:
        if self.out:
            self._recent.clear()
        self._recent.append(False)
        self._by_row.append((row, False))
        self._failures = 0
        self._failing.clear()

    def failed(self, row: int) -> None:
        if not self._failures:
            self._since = self._clock()
        self._failures += 1
        self._failing.add(row)
        self._recent.append(True)
        self._by_row.append((row, True))

    @property
    def out(self) -> bool:
        """Whether nobody is answered."""
        return self._failures >= OUT

    @property
    def failing_seconds(self) -> float:
        """How long nobody has been answered; 0 after an answer."""
        return self._clock() - self._since if self._failures else 0.0

    @property
    def gap_seconds(self) -> float:
        """Between requests: growing with an outage, so that its end is found within a tenth of its length."""
        return min(max(self.failing_seconds / GAPS, LEAST_GAP_SECONDS), MOST_GAP_SECONDS) if self.out else 0.0

    def ceiling(self, most: int) -> float:
        """How many of `most` requests in flight are worth it: the share that is answered."""
        if self.out:
            return min(PROBES, most)
        share = sum(self._recent) / max(len(self._recent), 1)
        return most * (1 - share) if share > CALM else float(most)

    def weight(self, row: int) -> float:
        """How far a failure counts against `row`, from 0 to 1.

        1 where at most one in ten of the others fails, 0 where all do: as many counts stand for the same improbable
        run of bad luck in any weather. Infinity where it was no weather at all: earlier ones count as well.
        """
        if 0 < len(self._failing) < OUT and self.failing_seconds >= LONELY_SECONDS:
            return math.inf
        others = [failed for other, failed in self._by_row if other != row][-LAST:]
        share = sum(others) / len(others) if others else 1.0
        return min(1.0, -math.log10(share)) if share else 1.0
