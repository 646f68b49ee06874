"""Says when the run must stop. Pure bookkeeping: it stops nothing itself, and knows rows by their number only.

Stopping early keeps a run from turning 100,000 rows into errors: a refused key, a spent quota, an API that is gone.
Stopping too early loses a night: what may pass is given `give_up_seconds`, each kind of failure its own.
"""

import time
from dataclasses import dataclass

from tasks.core.answering.refusals import ACCOUNT
from tasks.core.answering.weather import Weather
from tasks.core.clock import Clock
from tasks.core.errors import StopReason
from tasks.core.records import Kind, Outcome

ALIKE_REFUSALS = 10  # this many rows refused in the same words, none answered: it is the run, not the rows
SEVERAL_ROWS = 5  # refused one after the other as if for good, after answers
LEAST_FAILURES = 10
ENDLESS_DELAYS = 3  # told one after the other; a single one may be a slip
MINUTE_SECONDS = 60.0  # a quota a minute is always worth the wait


@dataclass(frozen=True, slots=True)
class Stop:
    reason: StopReason
    message: str


class Breaker:
    """`give_up_seconds`: how long a run goes on without a single answer."""

    def __init__(self, give_up_seconds: float, clock: Clock = time.monotonic) -> None:
        self.weather = Weather(clock)
        self.answers = 0
        self._give_up_seconds = give_up_seconds
        self._clock = clock
        self._refusals: list[str] = []
        # Since the last answer:
        self._refused_rows: set[int] = set()
        self._failing_since: dict[Kind, float] = {}
        self._failures = self._endless = 0

    def observe(self, row: int, outcome: Outcome) -> Stop | None:
        """Take note of one outcome; a Stop when no further request should go out."""
        if self.refuses_all(outcome):
            return self._refused_for_all(row, outcome)
        if outcome.daily_quota:
            return Stop(StopReason.QUOTA, outcome.detail)
        if outcome.kind.retryable:
            return self._failed(row, outcome)
        self.weather.answered(row)
        self._failing_since.clear()
        self._failures = self._endless = 0
        if outcome.kind is Kind.INVALID_REQUEST:
            return self._refused(outcome.detail)
        self.answers += 1
        self._refused_rows.clear()
        return None

    def refuses_all(self, outcome: Outcome) -> bool:
        """Whether it looks as if no row could be answered; a login page that came between may go away again."""
        return outcome.for_all_rows and not (self.answers and outcome.kind is Kind.NETWORK)

    def bearable(self, delay_seconds: float | None) -> float | None:
        """The delay that the API asks for, unless no run can wait that long."""
        longest = max(self._give_up_seconds, MINUTE_SECONDS)
        return delay_seconds if delay_seconds is not None and delay_seconds <= longest else None

    def _refused_for_all(self, row: int, outcome: Outcome) -> Stop | None:
        """Before any answer it is true; after one, it may be a false alarm. Money comes back by nobody's waiting."""
        self._refused_rows.add(row)
        if not self.answers or outcome.refused in ACCOUNT or len(self._refused_rows) >= SEVERAL_ROWS:
            return Stop(outcome.refused, outcome.detail)
        return None

    def _refused(self, detail: str) -> Stop | None:
        if self.answers or len(self._refusals) == ALIKE_REFUSALS:
            return None
        self._refusals.append(detail)
        if len(self._refusals) == ALIKE_REFUSALS and len(set(self._refusals)) == 1:
            return Stop(StopReason.REFUSED, f"the first {ALIKE_REFUSALS} requests were all refused: {detail}")
        return None

    def _failed(self, row: int, outcome: Outcome) -> Stop | None:
        if outcome.kind is not Kind.RATE_LIMIT:
            self.weather.failed(row)
        now = self._clock()
        silent = now - self._failing_since.setdefault(outcome.kind, now)
        self._failures += 1
        asked = outcome.retry_delay_seconds
        self._endless += asked is not None and self.bearable(asked) is None
        if self._endless >= ENDLESS_DELAYS:
            return Stop(StopReason.API_DOWN, f"the API asks to wait {asked:,.0f} s: {outcome.detail}")
        if self._failures >= LEAST_FAILURES and silent >= self._give_up_seconds:
            return Stop(StopReason.API_DOWN, f"no answer for {silent:.0f} s; last: {outcome.kind}: {outcome.detail}")
        return None
