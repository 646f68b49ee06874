"""When a spent daily quota is whole again: at midnight Pacific time, whatever the season. Knows nothing else.

Source: https://ai.google.dev/gemini-api/docs/rate-limits ("requests per day quotas reset at midnight Pacific time").
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
MARGIN = timedelta(minutes=1)  # clocks differ


def quota_returns(now: datetime) -> datetime:
    """The first moment after `now` (with a time zone) when the daily quota is sure to be back."""
    tomorrow = now.astimezone(PACIFIC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), PACIFIC) + MARGIN
