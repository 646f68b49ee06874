"""Watches what the answers say about the run as a whole, and says when to stop it. Pure bookkeeping.

Stopping early keeps a run from turning 100,000 rows into errors: a refused key, a spent quota, an API that is gone.
"""

import time
from dataclasses import dataclass

from tasks.core.errors import StopReason
from tasks.core.records import Kind, Outcome
from tasks.core.refusals import ACCOUNT
from tasks.core.throttle import Clock

ALIKE_REFUSALS = 10  # this many rows refused in the same words, none answered: it is the run, not the rows
LEAST_FAILURES = 10
# A quota a minute comes back within the minute; without an answer for this long it is another one.
RATE_LIMIT_PATIENCE = 8


@dataclass(frozen=True, slots=True)
class Stop:
    reason: StopReason
    message: str


class Health:
    """`give_up_seconds`: how long a run goes on without a single answer."""

    def __init__(self, give_up_seconds: float, clock: Clock = time.monotonic) -> None:
        self._give_up_seconds = give_up_seconds
        self._clock = clock
        self._answers = 0
        self._refusals: list[str] = []
        self._failures = 0  # since the last answer
        self._failing_since = 0.0

    @property
    def answers(self) -> int:
        """Answers so far: what says whether the run as a whole makes progress."""
        return self._answers

    def observe(self, outcome: Outcome) -> Stop | None:
        """Take note of one outcome; a Stop when no further request should go out."""
        may_pass = outcome.kind.passing and self._answers and outcome.refused not in ACCOUNT
        if outcome.run_level and not may_pass:
            return Stop(outcome.refused, outcome.detail)
        if outcome.daily_quota:
            return Stop(StopReason.QUOTA, outcome.detail)
        if outcome.kind.passing:
            return self._failed(outcome)
        self._failures = 0
        if outcome.kind is not Kind.INVALID_REQUEST:
            self._answers += 1
            return None
        return self._refused(outcome.detail)

    def _refused(self, detail: str) -> Stop | None:
        if self._answers or len(self._refusals) == ALIKE_REFUSALS:
            return None
        self._refusals.append(detail)
        if len(self._refusals) == ALIKE_REFUSALS and len(set(self._refusals)) == 1:
            return Stop(StopReason.REFUSED, f"the first {ALIKE_REFUSALS} requests were all refused: {detail}")
        return None

    def _failed(self, outcome: Outcome) -> Stop | None:
        now = self._clock()
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        patience = self._give_up_seconds * (RATE_LIMIT_PATIENCE if outcome.kind is Kind.RATE_LIMIT else 1)
        asked_to_wait = outcome.retry_delay_seconds or 0.0
        if asked_to_wait > self._give_up_seconds * RATE_LIMIT_PATIENCE:
            return Stop(StopReason.API_DOWN, f"the API asks to wait {asked_to_wait:,.0f} s: {outcome.detail}")
        silent = now - self._failing_since
        if self._failures >= LEAST_FAILURES and silent >= patience:
            return Stop(StopReason.API_DOWN, f"no answer for {silent:.0f} s; last: {outcome.kind}: {outcome.detail}")
        return None
