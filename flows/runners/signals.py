"""Taking over signals for a while. Imports nothing that takes long."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

STDERR = 2
ONE_SECONDS = 1.0  # a supervisor signals the group, and `uv run` passes on what it gets: that is one signal


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


def clear_line() -> None:
    """Where a terminal has shown `^C`, and a display has hidden the cursor; from a handler of signals as well."""
    with suppress(OSError):
        if os.isatty(STDERR) and os.environ.get("TERM") != "dumb":
            os.write(STDERR, b"\r\x1b[2K\x1b[?25h")


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
