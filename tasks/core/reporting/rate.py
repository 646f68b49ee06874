"""How fast rows come at present: over the last minute, and no longer, so that a pause shows and is forgotten again."""

from collections import deque

MARKS = 60  # each at least a second after the last


class Rate:
    """Rows a second. `add` is for one thread, `per_second` for any."""

    def __init__(self, now: float) -> None:
        self._rows = 0
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], MARKS)

    def add(self, now: float) -> None:
        """A row has come."""
        self._rows += 1
        if now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self._rows))

    def per_second(self, now: float) -> float:
        at, rows = self._marks[0]
        return (self._rows - rows) / max(now - at, 1.0)
