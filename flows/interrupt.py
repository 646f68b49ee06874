"""Ctrl+C and SIGTERM: the first stops the sending and keeps what has arrived, a later one leaves at once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from prefect._internal.control_listener import get_intent
from prefect.exceptions import TerminationSignal

INTERRUPTED = 130
ONE_SECONDS = 1.0  # a supervisor signals the group, and `uv run` passes on what it gets: that is one signal


@contextmanager
def interruptible(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first signal instead of raising; the block goes on and ends by itself.

    Raises:
        TerminationSignal: after the block, where Prefect has said that somebody else decides the run's next
            state: the run is to be started again elsewhere, and a state of ours would end it.
    """
    heard: float | None = None

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        if heard is None:
            heard = time.monotonic()
            stop()
        elif time.monotonic() - heard > ONE_SECONDS:
            os._exit(INTERRUPTED)

    with handled(handle, signal.SIGINT, signal.SIGTERM):
        yield
        if heard is not None:
            time.sleep(max(0.0, heard + ONE_SECONDS - time.monotonic()))  # its second half may still come
    if heard is not None and get_intent() in ("reschedule", "relinquish"):
        raise TerminationSignal(signal=signal.SIGTERM)


def raising() -> Callable[[int, FrameType | None], None]:
    """A handler that raises KeyboardInterrupt at the first signal, and again at one that is not part of it."""
    heard = float("-inf")

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        now = time.monotonic()
        if now - heard > ONE_SECONDS:
            heard = now
            raise KeyboardInterrupt

    return handle


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
