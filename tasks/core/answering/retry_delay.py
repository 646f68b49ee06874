"""How long the API asks to wait: one number of the many ways in which it is said. Must not wait.

The first of these that says something counts, the most exact before the others:
the header `retry-after-ms`; RetryInfo in the details; `Please retry in …` in the message; the header `Retry-After`.
"""

import math
import re
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from tasks.core.errors import ApiError

MOST_SECONDS = 366 * 86_400.0  # 9223372036854775807s has been seen; what is longer than a year says no more
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)"
_DURATION = re.compile(rf"(?:{_PART})+")  # of protobuf, `26.5s`, and of Go, `1h2m3.5s`
_PARTS = re.compile(_PART)
_IN_MESSAGE = re.compile(rf"(?:retry|try again) (?:in|after) ((?:{_PART})+)", re.IGNORECASE)


def retry_delay_seconds(error: ApiError) -> float | None:
    """From now on, MOST_SECONDS at most; None where the API does not say."""
    return next((min(seconds, MOST_SECONDS) for seconds in _said(error) if seconds is not None), None)


def _said(error: ApiError) -> Iterator[float | None]:
    headers = error.headers
    milliseconds = _seconds(headers.get("retry-after-ms"))
    yield None if milliseconds is None else milliseconds / 1000
    for detail in error.details:
        yield _seconds(detail.get("retryDelay"))
    in_message = _IN_MESSAGE.search(error.message)
    yield _seconds(in_message[1]) if in_message else None
    yield _seconds(headers.get("retry-after"))
    yield _until(headers.get("retry-after"), headers.get("date"))


def _seconds(value: Any) -> float | None:
    """Of `26s`, `847ms`, `1h2m`, `6`, 6 or {"seconds": 6, "nanos": 500000000}; None for what is no length of time."""
    if isinstance(value, dict):
        seconds, nanos = _seconds(value.get("seconds")), _seconds(value.get("nanos"))
        return None if seconds is None and nanos is None else (seconds or 0.0) + (nanos or 0.0) / 1e9
    text = str(value).strip()
    if _DURATION.fullmatch(text):
        return math.fsum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= 0 else None


def _until(date: str | None, now: str | None) -> float | None:
    """From `now`, the server's own clock where it says one, to an HTTP date."""
    try:
        then = parsedate_to_datetime(date or "").timestamp()
        return max(0.0, then - (parsedate_to_datetime(now).timestamp() if now else time.time()))
    except (ValueError, OverflowError):
        return None
