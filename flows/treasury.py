"""Shares the budget of a run out among the processes of a cluster, while they send. The rules are in core/costs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tasks.core.costs.treasurer import Treasurer
from tasks.core.planning.attempt import Attempt

LAST_LOOKS_SECONDS = 5.0  # for processes that have ended to give back what they have not spent
_BEYOND_TIMEOUT_SECONDS = 60.0


@contextmanager
def budget_shared_out(attempt: Attempt) -> Iterator[None]:
    """For the length of the block, from a thread of its own; nothing where the run has no budget."""
    run, terms = attempt.run, attempt.run.terms
    if terms is None:
        yield
        return
    silent_seconds = 2 * run.limits.timeout_seconds + _BEYOND_TIMEOUT_SECONDS
    treasurer = Treasurer(attempt.storage, run.job, run.attempt, terms.left, silent_seconds, time.monotonic)
    done = threading.Event()
    pause = attempt.storage.gather_seconds
    thread = threading.Thread(target=_look_until, args=(done, treasurer, pause), name="treasurer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        until = time.monotonic() + LAST_LOOKS_SECONDS
        while not treasurer.all_quiet and time.monotonic() < until:
            time.sleep(pause)
        done.set()
        thread.join()


def _look_until(done: threading.Event, treasurer: Treasurer, pause: float) -> None:
    while not done.wait(pause):
        with suppress(OSError):  # nobody gets more until the storage is back
            treasurer.look()
