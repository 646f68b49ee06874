"""Ctrl+C and SIGTERM: the first stops the sending and keeps what has arrived, a later one leaves at once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType

from prefect.exceptions import TerminationSignal

from flows.endings.exit_codes import ExitCode
from flows.in_python.caller import caller
from flows.runners.signals import ONE_SECONDS, STDERR, clear_line, handled
from tasks.prefect_internals import is_to_be_moved


@contextmanager
def interruptible(
    stop: Callable[[], object], wipe: Callable[[], object] = lambda: None, batches: bool = False
) -> Iterator[None]:
    """Call `stop` at the first signal instead of raising; the block goes on and ends by itself.

    `wipe`: takes a display off the screen. `batches`: jobs may be at work, which go on without this process.

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
            wipe()
            clear_line()
            jobs = b", batch jobs go on at Google" if batches else b""
            os.write(STDERR, b"Left at once; answers that are saved are kept%s; --resume continues.\n" % jobs)
            os._exit(ExitCode.INTERRUPTED)

    waiting = caller()
    with handled(handle, signal.SIGINT, signal.SIGTERM), waiting.stopping(stop) if waiting else nullcontext():
        yield
        if heard is not None:
            time.sleep(max(0.0, heard + ONE_SECONDS - time.monotonic()))  # its second half may still come
    if heard is not None and is_to_be_moved():
        raise TerminationSignal(signal=signal.SIGTERM)
