"""How long to wait, and for what, in seconds; and a call that is tried again until it is answered. Decides no row."""

from collections.abc import Awaitable, Callable

from tasks.core.answering.batch.api import FAILURES, passes
from tasks.core.clock import Sleep

LISTED_AFTER = (0.0, 30.0, 90.0, 210.0, 600.0)  # when to look for a job whose create was not answered
FENCE_SECONDS = 60.0  # from the deletion of an input until no create can take effect any more
MISSING_SECONDS = 600.0  # from the first 404 until a job counts as gone
FIRST_LOOK_SECONDS, MOST_LOOK_SECONDS = 15.0, 300.0
LATER_SECONDS = (600.0, 1200.0, 1800.0)  # until a run that sleeps looks: in the first hour, in the next three, later
FULL_SECONDS = (30.0, 60.0, 120.0, 300.0, 600.0)  # before the next create, where the API has no room
CANCEL_SECONDS = 60.0  # between two wishes for the end of a job
_RETRY_SECONDS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)


async def until_answered[T](call: Callable[[], Awaitable[T]], sleep: Sleep, tries: int = len(_RETRY_SECONDS)) -> T:
    """What `call`, which costs nothing, returns. It is tried again after what passes: ten minutes in all at most.

    Raises the last failure, or the first that does not pass.
    """
    for seconds in _RETRY_SECONDS[: tries - 1]:
        try:
            return await call()
        except FAILURES as error:
            if not passes(error):
                raise
        await sleep(seconds)
    return await call()
