"""What a run says while it goes."""

import logging

import pytest

from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.progress import LimitLog, Progress
from tasks.core.reporting.summary import summary_lines


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


@pytest.mark.parametrize(
    ("asked", "level"), [("gemini-2.5-flash", logging.WARNING), ("gemini-flash-latest", logging.INFO)]
)
def test_another_model_than_asked_for_is_told_once_and_counted(
    caplog: pytest.LogCaptureFixture, asked: str, level: int
) -> None:
    """A retired model's calls are routed to another, at its price; of an alias that is expected."""
    caplog.set_level(logging.INFO)
    progress = Progress(9, 0, asked, logging.getLogger("models"))
    for row, model in enumerate(["", "gemini-3.5-flash-lite", "gemini-3.5-flash-lite", ""]):
        progress.add(RowAnswer(row=row, id="", key="", kind=Kind.ANSWERED, answered_by=model))
    assert [(r.levelno, r.message) for r in caplog.records] == [
        (level, f"{asked} is answered by gemini-3.5-flash-lite")
    ]
    assert summary_lines(progress.tally, 1, 0)[-1] == (
        "answered by gemini-3.5-flash-lite, not by the model asked for: 2 rows"
    )
