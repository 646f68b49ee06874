"""Quotas as the API keeps them: requests a second, requests a minute, answers a day.

Must not read a clock: the caller passes `now`, in seconds of any monotonic clock.
"""

from dataclasses import dataclass, field, replace

from deployments.emulator.behaviours import Quota, RateLimited

_MINUTE_SECONDS = 60.0

# What a 429 for an exhausted day says in its RetryInfo. The real API sends such a delay too, though only
# midnight Pacific brings the quota back (googleapis/python-genai#2044): a client must read the quotaId.
_MISLEADING_DELAY_SECONDS = 47.0


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """How much is let through; None is without limit.

    `burst`: requests that may come at once before `requests_per_second` bites; None means one second's worth.
    `tell_delay`: whether a 429 says how long to wait.
    """

    requests_per_second: float | None = None
    burst: int | None = None
    requests_per_minute: int | None = None
    answers_per_day: int | None = None
    tell_delay: bool = True

    def __post_init__(self) -> None:
        for name in ("requests_per_second", "burst", "requests_per_minute"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value} must be above 0")

    @property
    def bucket_size(self) -> float:
        """Tokens in a full bucket."""
        return float(max(1.0, self.burst or self.requests_per_second or 1.0))


@dataclass(slots=True)
class Gate:
    """Counts requests against `limits`. One gate for all models and keys."""

    limits: ApiLimits = field(default_factory=ApiLimits)
    _tokens: float | None = None
    _filled_at: float = 0.0
    _minute_began: float | None = None
    _minute_count: int = 0
    _answers: int = 0

    def refuse(self, now: float) -> RateLimited | None:
        """Take one request's share of each limit, or say which is used up and, truly, for how long."""
        refusal = self._day_is_over() or self._minute_is_full(now) or self._bucket_is_empty(now)
        if refusal is None:
            self._minute_count += 1
        return refusal if refusal is None or self.limits.tell_delay else replace(refusal, retry_delay_seconds=None)

    def count_answer(self) -> None:
        """One more answer of today's."""
        self._answers += 1

    def _day_is_over(self) -> RateLimited | None:
        allowed = self.limits.answers_per_day
        if allowed is None or self._answers < allowed:
            return None
        return RateLimited(_MISLEADING_DELAY_SECONDS, Quota.PER_DAY, allowed)

    def _minute_is_full(self, now: float) -> RateLimited | None:
        if self._minute_began is None or now - self._minute_began >= _MINUTE_SECONDS:
            self._minute_began, self._minute_count = now, 0
        allowed = self.limits.requests_per_minute
        if allowed is None or self._minute_count < allowed:
            return None
        return RateLimited(self._minute_began + _MINUTE_SECONDS - now, Quota.PER_MINUTE, allowed)

    def _bucket_is_empty(self, now: float) -> RateLimited | None:
        rate = self.limits.requests_per_second
        if rate is None:
            return None
        size = self.limits.bucket_size
        tokens = size if self._tokens is None else min(size, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        self._tokens = tokens - 1 if tokens >= 1 else tokens
        if tokens >= 1:
            return None
        return RateLimited((1 - tokens) / rate, Quota.PER_MINUTE, round(rate * _MINUTE_SECONDS))
