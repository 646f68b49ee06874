"""Lines of a run's log that no task has to say. Decides nothing, but that what they are about ends no run."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import get_run_logger

from tasks.core.checkpoint.holder import Holder
from tasks.core.checkpoint.lock import DEAD_SECONDS
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.endpoint import base_url, why_unreachable
from tasks.core.environment.proxies import without_password
from tasks.core.environment.variables import set_in
from tasks.core.gemini.client import other_endpoint


def tell_where_requests_go(config: RunConfig) -> None:
    """A line where the key and the prompts do not go to Google, and one where nobody answers there at the moment.

    Raises:
        InputError: its certificate is not trusted, or it speaks no TLS: waiting would not help.
    """
    if config.demo:
        return
    logger = get_run_logger()
    if other := other_endpoint():
        line = "The key and the prompts go to %s and not to Google: %s is set in %s"
        logger.warning(line, other.url, other.variable, set_in(other.variable))
    if why := why_unreachable(base_url()):
        logger.warning("%s cannot be reached at the moment: %s", without_password(base_url()), why)


def tell_who_is_waited_for(holder: Holder) -> None:
    """Another run's lock is waited for only as long as it takes to see whether it is alive."""
    get_run_logger().warning("%s holds this job; waiting up to %d s for a sign of life", holder, DEAD_SECONDS)


@contextmanager
def trouble_told(what: str) -> Iterator[None]:
    """What goes wrong in this block is told and ends nothing: the answers are there."""
    try:
        yield
    except Exception as error:
        get_run_logger().warning("%s could not be written: %s", what, " ".join(str(error).split()))
