"""Waits for a Hub that does not send now, and makes one error of all with which it, or the way to it, refuses.

Its own library tries a request again for some 20 s, and heeds Retry-After there; an outage takes longer.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, XetDownloadError

from tasks.core.errors import DataUnavailable
from tasks.core.text import one_line

PAUSES_SECONDS = (2.0, 5.0, 15.0, 30.0, 60.0)
MOST_SECONDS = 300.0  # that the Hub may ask for; its limits are those of five minutes
_PASSING = frozenset({408, 425, 429})  # and every 5xx


def patiently[T](what: str, ask: Callable[[], T]) -> T:
    """What `ask` brings, asked again where that may help. `what`: the file, for a message.

    Raises:
        DataUnavailable: the Hub refuses it, or does not send it for some two minutes.
    """
    for pause in PAUSES_SECONDS:
        try:
            with of_the_hub(what):
                return ask()
        except DataUnavailable as error:
            wait(error, pause)
    with of_the_hub(what):
        return ask()


def wait(error: DataUnavailable, pause: float) -> None:
    """Until `error` may have passed; raises it where it does not."""
    if not error.passes:
        raise error
    time.sleep(min(max(pause, error.wait_seconds), MOST_SECONDS))


@contextmanager
def of_the_hub(what: str) -> Iterator[None]:
    """Raises DataUnavailable for whatever the Hub's library does, but for a file that is not there."""
    try:
        yield
    except LocalEntryNotFoundError as error:
        cause = error.__cause__
        if constants.HF_HUB_OFFLINE:
            raise
        raise (_refused(what, cause) if isinstance(cause, HfHubHTTPError) else _silent(what, cause or error)) from None
    except EntryNotFoundError:
        raise
    except HfHubHTTPError as error:
        raise _refused(what, error) from None
    except (httpx2.HTTPError, XetDownloadError, ConnectionError, TimeoutError) as error:
        raise _silent(what, error) from None


def _refused(what: str, error: HfHubHTTPError) -> DataUnavailable:
    code, said = error.response.status_code, error.response.headers.get("Retry-After", "")
    passes = code >= 500 or code in _PASSING
    reason = f"{code} {error.response.reason_phrase}".strip()
    return DataUnavailable(f"the Hub does not send {what}: {reason}", passes, float(said) if said.isdecimal() else 0.0)


def _silent(what: str, error: BaseException) -> DataUnavailable:
    return DataUnavailable(f"the Hub does not send {what}: {one_line(str(error) or type(error).__name__)}")
