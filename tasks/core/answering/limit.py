"""How many requests may be in flight: more after answers, fewer after refusals. Pure bookkeeping."""

from collections.abc import Callable

GROWTH = 0.1  # of the limit, for every limit's worth of answers: 10 % a round trip
QUIET_SECONDS, QUIET_GROWTH = 5.0, 1.0  # without a 429: far below the quota, so the limit doubles in a round trip
SHRINK_LEAST, SHRINK_MOST = 0.9, 0.5


class Limit:
    """`changed(limit)` is called when its whole number is another one."""

    def __init__(self, most: int, changed: Callable[[int], object]) -> None:
        self.value = self._ceiling = float(most)
        self._changed = changed
        self._shrunk_at = self._refused_at = float("-inf")
        self._answered = self._refused = 0  # since it last shrank

    def bound(self, ceiling: float) -> None:
        """Not more than `ceiling` from now on, and at least one."""
        self._ceiling = max(1.0, ceiling)
        if self.value > self._ceiling:
            self._set(self._ceiling)

    def answered(self, now: float, wanted: bool) -> None:
        """Grow, if that is `wanted`: requests wait for the limit alone."""
        self._answered += 1
        if wanted and self.value < self._ceiling:
            growth = QUIET_GROWTH if now - self._refused_at > QUIET_SECONDS else GROWTH
            step = max(1.0, growth * self.value) / self.value
            self._set(min(self.value + step, self._ceiling))

    def refused(self, now: float, sent_at: float) -> bool:
        """Shrink once for all requests of the same burst; whether this was the first of them."""
        self._refused_at = now
        self._refused += 1
        if sent_at <= self._shrunk_at:
            return False
        share = self._answered / (self._answered + self._refused)
        self._set(max(1.0, self.value * min(max(share, SHRINK_MOST), SHRINK_LEAST)))
        self._shrunk_at = now
        self._answered = self._refused = 0
        return True

    def _set(self, value: float) -> None:
        before, self.value = int(self.value), value
        if int(value) != before:
            self._changed(int(value))
