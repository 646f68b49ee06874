"""Says how a run is going: a bar on a terminal, elsewhere a log line now and then."""

import logging
import sys
import time
from typing import Any, Self

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tasks.core.costs.prices import Price
from tasks.core.costs.rows import row_dollars
from tasks.core.records import RowAnswer
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted, money

LOG_EVERY_SECONDS = 30.0


class Progress:
    """Counts the rows of a run: a bar on a terminal, elsewhere a log line now and then."""

    def __init__(
        self,
        total: int,
        reused: int,
        model: str,
        logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
        price: Price | None = None,
    ) -> None:
        self.tally = Tally()
        self.dollars = 0.0
        self._price = price
        self._total, self._reused, self._model, self._logger = total, reused, model, logger
        self._started = self._logged_at = time.monotonic()
        self._repeats = 0
        self._bar: tqdm[Any] = tqdm(
            total=total, initial=reused, unit="row", disable=not sys.stderr.isatty(), dynamic_ncols=True
        )
        self._above_bar = logging_redirect_tqdm()  # log lines scroll by above the bar

    @property
    def repeats(self) -> int:
        """Rows that get the answer of another one, as far as they are known."""
        return self._repeats

    @repeats.setter
    def repeats(self, rows: int) -> None:
        self._bar.update(rows - self._repeats)
        self._repeats = rows

    @property
    def _done(self) -> int:
        return self._reused + self._repeats + self.tally.rows

    def add(self, result: RowAnswer) -> None:
        self.tally.add(result)
        if self.tally.other_models.get(result.answered_by) == 1:
            self._say_model(result.answered_by)
        if self._price:
            self.dollars += row_dollars(self._price, result)
        errors = counted(self.tally.errors, "error")
        cost = f", {money(self.dollars)}" if self._price else ""
        self._bar.set_postfix_str(f"{self.tally.successes:,} ok, {errors}{cost}", refresh=False)
        self._bar.update()
        now = time.monotonic()
        if self._bar.disable and now - self._logged_at >= LOG_EVERY_SECONDS:
            self._logged_at = now
            self._logger.info(self.line(now))

    def _say_model(self, answered_by: str) -> None:
        """An alias is there to stand for another model; a retired model that is routed elsewhere has another price."""
        level = logging.INFO if "latest" in self._model else logging.WARNING
        self._logger.log(level, "%s is answered by %s", self._model, answered_by)

    @property
    def percent(self) -> float:
        return 100 * self._done / max(self._total, 1)

    def line(self, now: float) -> str:
        rate = self.tally.rows / max(now - self._started, 1e-9)
        errors = counted(self.tally.errors, "error")
        return f"{self._done:,} of {self._total:,} rows, {errors}, {rate:.1f} rows/s, {self.cost}"

    @property
    def cost(self) -> str:
        """Tokens and dollars so far, and in the end if the others take as much."""
        tokens = counted(self.tally.usage.total, "token")
        if not self._price:
            return tokens
        share = self.tally.rows / max(self._total - self._reused - self._repeats, 1)
        in_the_end = f", about {money(self.dollars / share)} in the end" if share else ""
        return f"{tokens}, {money(self.dollars)} so far{in_the_end}"

    def __enter__(self) -> Self:
        if not self._bar.disable:
            self._above_bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if not self._bar.disable:
            self._above_bar.__exit__(*error)
        self._bar.close()


class LimitLog:
    """Says how many requests may be in flight when that has changed by much; not at every step of the way."""

    def __init__(self, most: int, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._said, self._most, self._logger = most, most, logger

    def __call__(self, limit: int) -> None:
        if limit <= 0.7 * self._said or limit >= min(1.4 * self._said, self._most):
            why = "the API falls behind" if limit < self._said else "the API keeps up"
            self._logger.info("%s: at most %d requests in flight now, of %d", why, limit, self._most)
            self._said = limit


class OutageLog:
    """Says that nobody is answered, what becomes of the rows, and that it is over."""

    def __init__(self, give_up_seconds: float, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._give_up_seconds, self._logger = give_up_seconds, logger

    def __call__(self, why: str, seconds: float) -> None:
        if why:
            self._logger.warning(
                "no row is answered any more (%s): all wait, now and then one tries; after %s s without an answer the "
                "run stops (--give-up-seconds)",
                why,
                f"{self._give_up_seconds:g}",
            )
        else:
            self._logger.info("the API answers again, after %.0f s", seconds)
