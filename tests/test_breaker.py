"""When a run as a whole should stop."""

from itertools import count

import pytest

from tasks.core.answering.breaker import ALIKE_REFUSALS, ENDLESS_DELAYS, LEAST_FAILURES, SEVERAL_ROWS, Breaker
from tasks.core.errors import StopReason
from tasks.core.records import Kind, Outcome

ANSWER = Outcome(Kind.ANSWERED)
FAILURE = Outcome(Kind.SERVER_ERROR, detail="503")
BUSY = Outcome(Kind.RATE_LIMIT, detail="429")
FOR_GOOD = Outcome(Kind.INVALID_REQUEST, detail="401", for_all_rows=True)


class Watch:
    """Each outcome is another row's, unless it is said whose."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = Breaker(120, clock=lambda: self.now)
        self._rows = count()

    def sees(self, outcome: Outcome, after: float = 0.0, row: int | None = None) -> StopReason | None:
        self.now += after
        stop = self.breaker.observe(next(self._rows) if row is None else row, outcome)
        return stop.reason if stop else None


def test_a_refusal_of_everything_stops_a_run_that_has_no_answer_yet() -> None:
    """A refused key needs no second opinion; nor does a redirect, which is a wrong base URL."""
    assert Watch().sees(FOR_GOOD) is StopReason.REFUSED
    assert Watch().sees(Outcome(Kind.NETWORK, for_all_rows=True)) is StopReason.REFUSED


def test_after_answers_only_several_rows_that_are_refused_one_after_the_other_stop_the_run() -> None:
    """One answer between them, or the same row again and again, and the run goes on."""
    watch = Watch()
    watch.sees(ANSWER)
    assert [watch.sees(FOR_GOOD, row=7) for _ in range(2 * SEVERAL_ROWS)] == [None] * 2 * SEVERAL_ROWS
    watch.sees(ANSWER)
    assert [watch.sees(FOR_GOOD) for _ in range(SEVERAL_ROWS - 1)] == [None] * (SEVERAL_ROWS - 1)
    assert watch.sees(FAILURE) is None
    assert watch.sees(FOR_GOOD) is StopReason.REFUSED


@pytest.mark.parametrize("reason", [StopReason.NO_CREDIT, StopReason.NO_QUOTA])
def test_an_account_that_is_spent_stops_the_run_at_once_even_after_answers(reason: StopReason) -> None:
    """It is a rate limit for the row, which goes again once the account is filled, and nothing that waiting cures."""
    watch = Watch()
    watch.sees(ANSWER)
    assert watch.sees(Outcome(Kind.RATE_LIMIT, for_all_rows=True, refused=reason)) is reason


def test_a_redirect_after_answers_is_weather() -> None:
    """A login page that has come between may go away again."""
    redirect = Outcome(Kind.NETWORK, for_all_rows=True)
    watch = Watch()
    watch.sees(ANSWER)
    assert all(watch.sees(redirect, 1) is None for _ in range(LEAST_FAILURES))
    assert watch.sees(redirect, 120) is StopReason.API_DOWN


def test_a_daily_quota_stops_at_once() -> None:
    """It does not come back while we wait."""
    assert Watch().sees(Outcome(Kind.RATE_LIMIT, daily_quota=True)) is StopReason.QUOTA


def test_no_answer_for_long_enough_stops_the_run() -> None:
    """Time and a number of failures: neither alone."""
    watch = Watch()
    assert all(watch.sees(FAILURE, 1) is None for _ in range(LEAST_FAILURES))
    assert watch.sees(FAILURE, 120) is StopReason.API_DOWN
    quiet = Watch()
    assert [quiet.sees(FAILURE, 60) for _ in range(LEAST_FAILURES - 1)] == [None] * (LEAST_FAILURES - 1)


def test_any_answer_starts_the_count_again() -> None:
    """A blocked prompt is an answer too."""
    watch = Watch()
    for _ in range(LEAST_FAILURES):
        watch.sees(FAILURE, 11)
    watch.sees(Outcome(Kind.BLOCKED))
    assert watch.sees(FAILURE, 1) is None


def test_each_kind_of_failure_has_patience_of_its_own() -> None:
    """429s for longer than that and a single 503 are no API that is gone."""
    watch = Watch()
    for _ in range(LEAST_FAILURES):
        assert watch.sees(BUSY, 11.9) is None
    assert watch.sees(FAILURE, 20) is None
    assert watch.sees(BUSY, 1) is StopReason.API_DOWN


def test_a_delay_longer_than_all_patience_stops_the_run_unless_it_was_a_slip() -> None:
    """An API that asks to come back in a million years, in whatever words, does not hang the run until then."""
    for kind in (Kind.RATE_LIMIT, Kind.SERVER_ERROR):
        endless = Outcome(kind, retry_delay_seconds=9223372036854775807.0)
        watch = Watch()
        for outcome in (endless, endless, ANSWER, endless, Outcome(kind, retry_delay_seconds=120), endless):
            assert watch.sees(outcome) is None
        assert watch.sees(endless) is StopReason.API_DOWN
    assert ENDLESS_DELAYS == 3
    assert (watch.breaker.bearable(120), watch.breaker.bearable(121), watch.breaker.bearable(None)) == (120, None, None)
    assert Breaker(1).bearable(47) == 47  # a quota a minute


def test_a_setting_that_every_request_is_refused_for_stops_the_run() -> None:
    """The same words ten times and no answer: it is not the rows."""
    watch = Watch()
    refusal = Outcome(Kind.INVALID_REQUEST, detail="temperature")
    assert [watch.sees(refusal) for _ in range(ALIKE_REFUSALS)][-1] is StopReason.REFUSED


def test_rows_refused_each_for_its_own_reason_do_not_stop_the_run() -> None:
    """Nor do the same words once something was answered."""
    watch = Watch()
    assert [watch.sees(Outcome(Kind.INVALID_REQUEST, detail=f"{n} tokens")) for n in range(30)] == [None] * 30
    answered = Watch()
    answered.sees(ANSWER)
    assert [answered.sees(Outcome(Kind.INVALID_REQUEST, detail="x")) for _ in range(30)] == [None] * 30
