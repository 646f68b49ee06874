"""What the outcomes of other rows say about a failure, and about how much to send."""

import math
import random

import pytest

from tasks.core.answering.weather import LAST, LONELY_SECONDS, MOST_GAP_SECONDS, OUT, PROBES, Weather


class Sky:
    def __init__(self) -> None:
        self.now = 0.0
        self.weather = Weather(clock=lambda: self.now)

    def fail(self, rows: range) -> None:
        for row in rows:
            self.weather.failed(row)


def test_a_failure_beside_answers_is_the_row_s_and_one_of_many_is_not() -> None:
    """All of it, some of it, nothing of it."""
    sky = Sky()
    assert sky.weather.weight(0) == 0.0  # nobody else was heard of
    for row in range(LAST):
        sky.weather.answered(row)
    sky.weather.failed(99)
    assert sky.weather.weight(99) == 1.0
    sky.fail(range(100, 100 + LAST // 2))
    assert 0.25 < sky.weather.weight(99) < 0.35
    sky.fail(range(200, 200 + LAST))
    assert sky.weather.weight(99) == 0.0


def test_a_bad_row_is_no_weather_however_often_it_fails() -> None:
    """Its own failures are not held in its favour."""
    sky = Sky()
    for row in range(LAST):
        sky.weather.answered(row)
    for _ in range(LAST):
        sky.weather.failed(99)
        assert sky.weather.weight(99) == 1.0


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_five_counts_are_bad_luck_that_no_weather_brings(share: float) -> None:
    """Of 300 rows that fail with any probability, next to none has five counts before it is answered."""
    chance, sky = random.Random(1), Sky()
    for _ in range(3 * LAST):
        sky.weather.failed(0) if chance.random() < share else sky.weather.answered(0)
    counts = dict.fromkeys(range(1, 301), 0.0)
    while counts:
        row = chance.choice(list(counts))
        if chance.random() < share:
            sky.weather.failed(row)
            counts[row] += sky.weather.weight(row)
            assert counts[row] < 5
        else:
            sky.weather.answered(row)
            del counts[row]


def test_a_few_rows_that_fail_for_long_beside_nobody_else_are_bad_rows() -> None:
    """At the end of a run there is nobody left to compare with; many rows are weather all the same."""
    sky = Sky()
    sky.fail(range(3))
    sky.fail(range(3))
    assert sky.weather.weight(0) == 0.0
    sky.now = LONELY_SECONDS
    assert sky.weather.weight(0) == math.inf
    sky.fail(range(OUT))
    assert sky.weather.weight(0) == 0.0


def test_nothing_is_sent_into_an_outage_but_probes_with_growing_gaps() -> None:
    """At most 60 in the first minute with those that were in flight, and none is further than a tenth from the next."""
    sky = Sky()
    sky.fail(range(OUT))
    assert sky.weather.out
    assert sky.weather.ceiling(10) == PROBES
    assert sky.weather.ceiling(1) == 1
    sent = 10 + OUT
    while sky.now < 60:
        gap = sky.weather.gap_seconds
        assert gap <= max(1, sky.now / 10)
        sky.now += gap
        sent += 1
    assert sent <= 60
    sky.now = 100_000
    assert sky.weather.gap_seconds == MOST_GAP_SECONDS


def test_an_answer_ends_an_outage_and_what_failed_in_it_holds_nobody_back() -> None:
    """All that may be in flight is in reach at once."""
    sky = Sky()
    sky.fail(range(2 * LAST))
    sky.weather.answered(1)
    assert (sky.weather.out, sky.weather.gap_seconds, sky.weather.ceiling(10)) == (False, 0.0, 10)


def test_the_share_that_is_answered_is_the_share_that_is_in_flight() -> None:
    """Down with it and up again; what fails in good weather costs nothing."""
    sky = Sky()
    for row in range(LAST - 2):
        sky.weather.answered(row)
    sky.fail(range(2))
    assert sky.weather.ceiling(100) == 100
    for row in range(8):
        sky.weather.failed(row)
        sky.weather.answered(row)
    assert sky.weather.ceiling(100) == pytest.approx(50)
    for row in range(LAST):
        sky.weather.answered(row)
    assert sky.weather.ceiling(100) == 100
