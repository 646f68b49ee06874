"""When a run as a whole should stop."""

import pytest

from tasks.core.errors import StopReason
from tasks.core.health import ALIKE_REFUSALS, LEAST_FAILURES, RATE_LIMIT_PATIENCE, Health
from tasks.core.records import Kind, Outcome

ANSWER = Outcome(Kind.ANSWERED)
FAILURE = Outcome(Kind.SERVER_ERROR, detail="503")
BUSY = Outcome(Kind.RATE_LIMIT, detail="429")


class Watch:
    def __init__(self) -> None:
        self.now = 0.0
        self.health = Health(120, clock=lambda: self.now)

    def sees(self, outcome: Outcome, after: float = 0.0) -> StopReason | None:
        self.now += after
        stop = self.health.observe(outcome)
        return stop.reason if stop else None


def test_a_run_level_refusal_stops_at_once() -> None:
    """A refused key needs no second opinion, even after answers."""
    watch = Watch()
    watch.sees(ANSWER)
    assert watch.sees(Outcome(Kind.INVALID_REQUEST, run_level=True)) is StopReason.REFUSED


@pytest.mark.parametrize("reason", [StopReason.NO_CREDIT, StopReason.NO_QUOTA])
def test_an_account_that_is_spent_stops_the_run_at_once_even_after_answers(reason: StopReason) -> None:
    """It is a rate limit for the row, which goes again once the account is filled, and nothing that waiting cures."""
    watch = Watch()
    watch.sees(ANSWER)
    assert watch.sees(Outcome(Kind.RATE_LIMIT, run_level=True, refused=reason)) is reason


def test_a_redirect_stops_a_run_that_has_no_answer_yet() -> None:
    """A wrong base URL; once it has answered, a login page that has come between may go away again."""
    redirect = Outcome(Kind.NETWORK, run_level=True)
    assert Watch().sees(redirect) is StopReason.REFUSED
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


def test_429s_are_given_more_time() -> None:
    """The API is there, and a quota a minute comes back."""
    watch = Watch()
    for _ in range(LEAST_FAILURES):
        assert watch.sees(BUSY, 60) is None
    assert watch.sees(BUSY, 120 * RATE_LIMIT_PATIENCE) is StopReason.API_DOWN


def test_a_delay_longer_than_all_patience_stops_the_run() -> None:
    """An API that asks to come back tomorrow, in whatever words, does not hang the run until then."""
    patience = 120 * RATE_LIMIT_PATIENCE
    assert Watch().sees(Outcome(Kind.RATE_LIMIT, retry_delay_seconds=patience)) is None
    for kind in (Kind.RATE_LIMIT, Kind.SERVER_ERROR):
        assert Watch().sees(Outcome(kind, retry_delay_seconds=patience + 1)) is StopReason.API_DOWN


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
