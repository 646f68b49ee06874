"""A spent daily quota returns at midnight Pacific, a minute later to be sure, in summer and in winter."""

from datetime import datetime

import pytest

from tasks.core.answering.quota import quota_returns


@pytest.mark.parametrize(
    ("now", "returns"),
    [
        ("2026-07-01T06:59:00Z", "2026-07-01T07:01:00Z"),  # a minute before midnight, summer time
        ("2026-07-01T07:00:00Z", "2026-07-02T07:01:00Z"),  # midnight itself: a whole day
        ("2026-12-31T20:00:00Z", "2027-01-01T08:01:00Z"),  # winter time, and a year ends
        ("2026-03-08T08:30:00Z", "2026-03-09T07:01:00Z"),  # a day of 23 hours
        ("2026-11-01T07:30:00Z", "2026-11-02T08:01:00Z"),  # a day of 25 hours
        ("2026-07-01T09:00:00+09:00", "2026-07-01T07:01:00Z"),  # said from Seoul
    ],
)
def test_the_daily_quota_returns_after_midnight_pacific(now: str, returns: str) -> None:
    """Whatever the season, and wherever the run's clock stands."""
    assert quota_returns(datetime.fromisoformat(now)) == datetime.fromisoformat(returns)
