"""How far a run is, in numbers and in words. Shows nothing: see flows/display.py."""

import logging
import time
from collections.abc import Callable

from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.clock import Clock
from tasks.core.costs.prices import Price
from tasks.core.costs.rows import row_dollars
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.rate import Rate
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, lasting, money


class Progress:
    """Counts the rows of a run. Rows are added by one thread; all else may be asked by any.

    `repeats`: rows that get the answer of another one, as far as they are known.
    `traffic`: how requests go out, where this process sends them. `outage`: why nobody is answered, if so it is.
    `jobs`: what is known of batch jobs.
    """

    def __init__(
        self,
        total: int,
        reused: int,
        model: str,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        price: Price | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.tally = Tally()
        self.total, self.repeats, self.dollars = total, 0, 0.0
        self.traffic: Callable[[], Traffic] | None = None
        self.outage = self.jobs = ""
        self._price, self._clock, self._rate = price, clock, Rate(clock())
        self._reused, self._model, self._logger = reused, model, logger

    def add(self, result: RowAnswer) -> None:
        self.tally.add(result)
        self._rate.add(self._clock())
        if self.tally.other_models.get(result.answered_by) == 1:
            self._say_model(result.answered_by)
        if self._price:
            self.dollars += row_dollars(self._price, result)

    @property
    def done(self) -> int:
        """Rows that have a result."""
        return self._reused + self.repeats + self.tally.rows

    @property
    def percent(self) -> float:
        return 100 * self.done / max(self.total, 1)

    @property
    def pace(self) -> str:
        """`12.3 rows/s, 7 min 50 s left`"""
        rate = self._rate.per_second(self._clock())
        left = f", {lasting((self.total - self.done) / rate)} left" if rate else ""
        return f"{rate:.1f} rows/s{left}"

    @property
    def outcomes(self) -> str:
        """`1,190 ok, 2 errors (1 blocked, 1 timeout)`"""
        kinds = dict(self.tally.kinds)  # a copy: more may come meanwhile
        errors = {kind: rows for kind, rows in kinds.items() if rows and kind not in (Kind.ANSWERED, Kind.TRUNCATED)}
        by_kind = ", ".join(f"{rows:,} {kind}" for kind, rows in sorted(errors.items(), key=lambda item: -item[1]))
        ok = sum(kinds.values()) - sum(errors.values())
        return f"{ok:,} ok, {counted(sum(errors.values()), 'error')}" + (f" ({by_kind})" if errors else "")

    @property
    def cost(self) -> str:
        """Tokens and dollars so far, and in the end if the others take as much."""
        tokens = counted(self.tally.usage.total, "token")
        if not self._price:
            return tokens
        share = self.tally.rows / max(self.total - self._reused - self.repeats, 1)
        in_the_end = f", about {money(self.dollars / share)} in the end" if share else ""
        return f"{tokens}, {money(self.dollars)} so far{in_the_end}"

    @property
    def in_flight(self) -> str:
        """`8 of 10 requests in flight`, or of batch jobs; empty where others send."""
        traffic = self.traffic() if self.traffic else None
        return f"{traffic.in_flight:,} of {counted(traffic.limit, 'request')} in flight" if traffic else self.jobs

    @property
    def hold(self) -> str:
        """Why it is slow: `waiting 26 s: rate limit`; empty where it is not."""
        traffic = self.traffic() if self.traffic else None
        if traffic is None or traffic.hold is None:
            return ""
        if traffic.hold is Hold.OUTAGE and self.outage and not self.outage.startswith(Kind.SERVER_ERROR):
            return f"no answers ({self.outage.partition(':')[0]}): probing"
        seconds = round(traffic.wait_seconds)
        return f"waiting {lasting(seconds)}: {traffic.hold}" if seconds else str(traffic.hold)

    @property
    def line(self) -> str:
        """All of it in one."""
        parts = (
            f"{self.done:,} of {self.total:,} rows",
            self.pace,
            self.outcomes,
            self.cost,
            self.in_flight,
            self.hold,
        )
        return "; ".join(filter(None, parts))

    def _say_model(self, answered_by: str) -> None:
        """An alias is there to stand for another model; a retired model that is routed elsewhere has another price."""
        level = logging.INFO if "latest" in self._model else logging.WARNING
        self._logger.log(level, "%s is answered by %s", self._model, answered_by)
