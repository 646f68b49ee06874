"""Log lines on how the API is doing: said when that changes by much, not at every step. Decides nothing."""

import logging

from tasks.core.text import counted


class LimitLog:
    """Says how many requests may be in flight when that has changed by much; not at every step of the way."""

    def __init__(self, most: int, logger: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._said, self._most, self._logger = most, most, logger

    def __call__(self, limit: int) -> None:
        if limit <= 0.7 * self._said or limit >= min(1.4 * self._said, self._most):
            why = "the API falls behind" if limit < self._said else "the API keeps up"
            self._logger.info("%s: at most %s in flight now, of %d", why, counted(limit, "request"), self._most)
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
