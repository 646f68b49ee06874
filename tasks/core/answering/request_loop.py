"""The one event loop of a process that requests live on, whatever runs the chunks.

Where chunks share a loop already, that loop is adopted. Where each has its own (threads, Dask, Ray), a
background thread keeps one, so that `max_concurrent` and the connection pool hold for the process.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class RequestLoop:
    """Finds or starts its loop when it is first asked for. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a running loop, for as long as it runs."""
        with self._lock:
            self._loop = loop

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or not self._loop.is_running():
                self._loop = asyncio.new_event_loop()
                runs = threading.Event()
                self._loop.call_soon(runs.set)
                threading.Thread(target=self._loop.run_forever, name="requests", daemon=True).start()
                runs.wait()  # until it does, the next caller would take it for one that has ended
            return self._loop

    async def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` on the loop, from any loop."""
        if asyncio.get_running_loop() is self._loop:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop()))

    def run_from_thread[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop, from a thread that has none."""
        return asyncio.run_coroutine_threadsafe(work, self.loop()).result()
