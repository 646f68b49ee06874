"""What a run says while it goes."""

import logging

import pytest

from tasks.core.records import Kind, RowAnswer
from tasks.core.reporting.progress import Progress
from tasks.core.reporting.summary import stopping_line, summary_table
from tasks.core.reporting.weather_log import LimitLog, OutageLog


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
    assert summary_table(progress.tally, 1, 0)[-1] == (
        "model",
        "answered by gemini-3.5-flash-lite, not by the model asked for: 2 rows",
    )


def test_an_outage_is_told_at_both_its_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Why, and for how long the run puts up with it."""
    caplog.set_level(logging.INFO)
    say = OutageLog(900, logging.getLogger("outages"))
    say("server_error: 503", 0)
    say("", 61)
    first, second = caplog.messages
    assert first.startswith("no row is answered any more (server_error: 503): ")
    assert "after 900 s without an answer the run stops (--give-up-seconds)" in first
    assert second == "the API answers again, after 61 s"


@pytest.mark.parametrize(
    ("on_their_way", "failing", "line"),
    [
        (0, False, "stopping: no answer is on its way"),
        (1, False, "stopping: 1 answer on its way, at most 10 s; Ctrl+C again leaves now"),
        (1200, False, "stopping: 1,200 answers on their way, at most 10 s; Ctrl+C again leaves now"),
        (3, True, "stopping: answers cannot be saved yet, one more try for some seconds; Ctrl+C again leaves now"),
    ],
)
def test_who_presses_ctrl_c_is_told_what_is_waited_for(on_their_way: int, failing: bool, line: str) -> None:
    """And that a second press waits for nothing."""
    assert stopping_line(on_their_way, 10, failing) == line
