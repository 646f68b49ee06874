"""The time between requests where one in flight is already more than a rate limit lets through. Pure bookkeeping."""

MOST_GAP_SECONDS = 30.0
FIRST_GAP_SECONDS = 0.1
MARGIN = 1.1  # so that a refusal is the exception
PATIENCE, STEP = 5, 0.9  # after so many answers, a little faster


class Pace:
    """Learns from refusals how many answers a time there are, whether the limit is a bucket or a fixed minute."""

    def __init__(self) -> None:
        self.gap_seconds = 0.0
        self._open_since: float | None = None  # when requests were let through again
        self._answers = self._clean = 0
        self._took_seconds = 0.0

    def answered(self, took_seconds: float) -> None:
        """`took_seconds`: a gap shorter than that holds nothing back."""
        self._took_seconds = took_seconds
        self._answers += 1
        self._clean += 1
        if self.gap_seconds and self._clean >= PATIENCE:
            self._clean = 0
            self._set(self.gap_seconds * STEP)

    def refused(self, now: float, delay_seconds: float, alone: bool) -> None:
        """`alone`: no other request is let beside the next one, so only a gap can help."""
        opens = now + delay_seconds
        if alone:
            if self._answers and self._open_since is not None:
                measured = (opens - self._open_since) / self._answers
                self._set(max(self.gap_seconds, measured) * MARGIN)
            else:
                self._set(max(2 * self.gap_seconds, FIRST_GAP_SECONDS))
        self._open_since = opens
        self._answers = self._clean = 0

    def _set(self, gap_seconds: float) -> None:
        self.gap_seconds = min(gap_seconds, MOST_GAP_SECONDS) if gap_seconds >= self._took_seconds else 0.0
