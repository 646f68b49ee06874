"""What a run says while it goes."""

import logging

import pytest

from tasks.core.report import LimitLog


def test_a_changed_limit_is_one_line_and_small_steps_are_none(caplog: pytest.LogCaptureFixture) -> None:
    """Down by a burst, up again in many steps to the maximum: what it is now and why, not every step."""
    caplog.set_level(logging.INFO)
    say = LimitLog(100, logging.getLogger("limits"))
    for limit in (90, 60, *range(61, 101)):
        say(limit)
    assert caplog.messages == [
        "the API falls behind: at most 60 requests in flight now, of 100",
        "the API keeps up: at most 84 requests in flight now, of 100",
        "the API keeps up: at most 100 requests in flight now, of 100",
    ]
