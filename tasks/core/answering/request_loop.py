"""The one event loop of a process that requests live on, whatever runs the chunks.

Where chunks share a loop already, that loop is adopted. Where each has its own (threads, Dask, Ray), a
background thread keeps one, so that `max_concurrent` and the connection pool hold for the process.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

_lock = threading.Lock()
_home: asyncio.AbstractEventLoop | None = None


def adopt(loop: asyncio.AbstractEventLoop) -> None:
    """Make a running loop the process's home, for as long as it runs."""
    global _home
    with _lock:
        _home = loop


def home() -> asyncio.AbstractEventLoop:
    global _home
    with _lock:
        if _home is None or not _home.is_running():
            _home = asyncio.new_event_loop()
            runs = threading.Event()
            _home.call_soon(runs.set)
            threading.Thread(target=_home.run_forever, name="requests", daemon=True).start()
            runs.wait()  # until it does, the next caller would take it for one that has ended
        return _home


async def at_home[T](work: Coroutine[Any, Any, T]) -> T:
    """Await `work` on the home loop, from any loop."""
    if asyncio.get_running_loop() is _home:
        return await work
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, home()))


def from_thread[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the home loop from a thread that has no loop."""
    return asyncio.run_coroutine_threadsafe(work, home()).result()
