"""Ctrl+C and SIGTERM, once: stop sending and keep what has arrived. Twice: leave at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from prefect._internal.control_listener import get_intent
from prefect.exceptions import TerminationSignal

INTERRUPTED = 130


@contextmanager
def interruptible(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first signal instead of raising; the block goes on and ends by itself.

    Raises:
        TerminationSignal: after the block, where Prefect has said that somebody else decides the run's next
            state: the run is to be started again elsewhere, and a state of ours would end it.
    """
    heard = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard:
            os._exit(INTERRUPTED)
        heard = True
        stop()

    with handled(handle, signal.SIGINT, signal.SIGTERM):
        yield
    if heard and get_intent() in ("reschedule", "relinquish"):
        raise TerminationSignal(signal=signal.SIGTERM)


@contextmanager
def handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    """`handler` for these signals in the block. Only the main thread hears signals; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
