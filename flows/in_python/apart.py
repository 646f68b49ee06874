"""A run beside the thread that waits for it, where that thread is a person's.

A notebook has an event loop in the thread of its cells, where Prefect's calls would be coroutines that nobody awaits;
and a signal that a prompt or a cell hears stops a run's sending, and ends neither the prompt nor the kernel.
"""

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait

from flows.in_python.caller import Caller
from flows.runners.signals import ONE_SECONDS
from tasks.core.errors import InWords

LISTEN_SECONDS = 0.5  # a signal that comes just before a thread waits is heard only when it has


class Interrupted(InWords, KeyboardInterrupt):
    """The run was; the message says what is kept."""


def waited_for[T](run: Callable[[], T], caller: Caller) -> T:
    """What `run` returns or raises. The first interrupt goes to `caller`, and `run` ends by itself.

    Raises:
        Interrupted: at a later one; `run` goes on to its end, and nobody waits for it.
    """
    if not is_persons_own():
        return run()
    done: Future[T] = Future()
    in_context = contextvars.copy_context().run
    threading.Thread(target=lambda: in_context(_settle, done, run), name="infer", daemon=True).start()
    heard: float | None = None
    while not done.done():
        try:
            wait([done], LISTEN_SECONDS)
        except KeyboardInterrupt:
            if heard and time.monotonic() - heard > ONE_SECONDS:
                raise Interrupted("not waited for: the run still keeps what arrives, and ends by itself") from None
            heard = heard or time.monotonic()
            caller.interrupt()
    return done.result()


def is_persons_own() -> bool:
    """Whether this thread is that of a notebook's cells, or of a prompt."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return hasattr(sys, "ps1")  # a prompt's
    return True


def _settle[T](done: Future[T], run: Callable[[], T]) -> None:
    try:
        done.set_result(run())
    except BaseException as error:
        done.set_exception(error)
