"""Finds the rows that a rate limit refuses for their size, so that nobody else waits for them. Pure bookkeeping."""

import math


class Bulk:
    """By the estimated tokens of rows that were answered, and of rows that were refused when nobody else sent."""

    def __init__(self) -> None:
        self._answered = 0
        self._refused_alone = math.inf

    def answered(self, tokens: int) -> None:
        self._answered = max(self._answered, tokens)

    def suspects(self, tokens: int, refusals: int) -> bool:
        """Whether a row refused for the `refusals`th time may be too large: answered rows are smaller, or far so."""
        return 0 < self._answered * (2 if refusals == 1 else 1) < tokens

    def refused_alone(self, tokens: int) -> None:
        """Nobody had sent for a minute."""
        self._refused_alone = min(self._refused_alone, tokens)

    def too_large(self, tokens: int) -> bool:
        return tokens >= self._refused_alone
