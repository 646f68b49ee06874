"""How far a run is, in numbers and in words. Shows nothing: see flows/display.py."""

import logging
import time
from collections.abc import Callable

from tasks.core.answering.traffic import Hold, Traffic
from tasks.core.batches import AtWork, Making
from tasks.core.clock import Clock
from tasks.core.costs.prices import BATCH, Price
from tasks.core.costs.rows import row_dollars
from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.batch_words import jobs_words, making_words, times_words
from tasks.core.reporting.rate import Rate
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, lasting, money


class Progress:
    """Counts the rows of a run. Rows are added by one thread; all else may be asked by any.

    `repeats`: rows that get the answer of another one, as far as they are known.
    `traffic`: how requests go out, where this process sends them. `outage`: why nobody is answered, if so it is.
    `at_work`: batch jobs that have not ended; `making`: the next one, if it is being made. `stopping`: nothing more
    goes out.
    """

    def __init__(
        self,
        total: int,
        reused: int,
        model: str,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        price: Price | None = None,
        clock: Clock = time.monotonic,
        time_of_day: Clock = time.time,
    ) -> None:
        self.tally = Tally()
        self.total, self.repeats, self.dollars = total, 0, 0.0
        self.traffic: Callable[[], Traffic] | None = None
        self.outage, self.stopping = "", False
        self.at_work: AtWork | None = None
        self.making: Making | None = None
        self._price, self._clock, self._time_of_day, self._rate = price, clock, time_of_day, Rate(clock())
        self._started, self._at_half = clock(), True
        self._reused, self._model, self._logger = reused, model, logger

    def add(self, result: RowAnswer) -> None:
        self.tally.add(result)
        self._rate.add(self._clock())
        if self.tally.other_models.get(result.answered_by) == 1:
            self._say_model(result.answered_by)
        if self._price:
            self.dollars += row_dollars(self._price, result)
        self._at_half = self._at_half and result.service_tier == BATCH

    @property
    def done(self) -> int:
        """Rows that have a result."""
        return self._reused + self.repeats + self.tally.rows

    @property
    def rows(self) -> str:
        """`600 of 1,000 rows`; of batch jobs those that have ended count, and are collected."""
        return f"{self.done:,} of {self.total:,} rows{' collected' if self.is_by_batches else ''}"

    @property
    def percent(self) -> float:
        return 100 * self.done / max(self.total, 1)

    @property
    def pace(self) -> str:
        """`12.3 rows/s, 7 min 50 s left`; of batch jobs, which end when they end, for how long they are waited for."""
        if self.is_by_batches and not self.traffic:
            return f"waiting for {lasting(self._clock() - self._started)}"
        rate = self._rate.per_second(self._clock())
        goes_on = rate and not (self.outage or self.stopping)
        left = f", {lasting((self.total - self.done) / rate)} left" if goes_on else ""
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
        half = ", at half price" if share and self._at_half else ""
        return f"{tokens}, {money(self.dollars)} so far{in_the_end}{half}"

    @property
    def in_flight(self) -> str:
        """`8 of 10 requests in flight`; empty where others send."""
        traffic = self.traffic() if self.traffic else None
        return f"{traffic.in_flight:,} of {counted(traffic.limit, 'request')} in flight" if traffic else ""

    @property
    def is_by_batches(self) -> bool:
        return bool(self.at_work or self.making)

    @property
    def some_came(self) -> bool:
        """Whether there is anything to say of rows; online there is from the start."""
        return bool(self.tally.rows) or not self.is_by_batches

    @property
    def jobs(self) -> str:
        """`2 batch jobs: 1 running, 1 pending; 150 of 400 rows done at Google`; empty where none is at work."""
        return jobs_words(self.at_work) if self.at_work else ""

    @property
    def batches(self) -> list[str]:
        """What is known of batch jobs, when that will change, and how far the next one is."""
        at_work, making = self.at_work, self.making  # others may take their place meanwhile
        times = times_words(at_work, self._time_of_day()) if at_work else ""
        return [*filter(None, (self.jobs, times, making_words(making) if making else ""))]

    @property
    def standing(self) -> tuple[object, ...]:
        """Equal to an earlier one where nothing has come of batch jobs since."""
        at_work, making = self.at_work, self.making
        return self.done, at_work and (at_work.states, at_work.done), making

    @property
    def hold(self) -> str:
        """Why it is slow: `waiting 26 s: rate limit`; empty where it is not."""
        if self.stopping:
            return "stopping"
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
            self.rows,
            self.pace,
            *((self.outcomes, self.cost) if self.some_came else ()),
            self.in_flight,
            *self.batches,
            self.hold,
        )
        return "; ".join(filter(None, parts))

    def _say_model(self, answered_by: str) -> None:
        """An alias is there to stand for another model; a retired model that is routed elsewhere has another price."""
        level = logging.INFO if "latest" in self._model else logging.WARNING
        self._logger.log(level, "%s is answered by %s", self._model, answered_by)
