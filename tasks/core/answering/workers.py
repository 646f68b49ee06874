"""Works on many items at once and hands over what comes of each as it comes. Knows nothing of the work."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable
from itertools import chain, islice


async def as_they_come[T, A](items: Iterable[T], work: Callable[[T], Awaitable[A]], at_once: int) -> AsyncGenerator[A]:
    """What `work` makes of each item, as it comes. An item is taken from `items` when a worker is free for it.

    An error ends the worker that met it. The others go on, and it is raised once all that they bring is yielded.
    Where the caller is cancelled the workers are too, and what has arrived is yielded before CancelledError goes on.
    """
    waiting, arrived, moved = iter(items), deque[A](), asyncio.Event()

    async def worker(first: T) -> None:
        for item in chain((first,), waiting):
            arrived.append(await work(item))
            moved.set()

    def ended(task: asyncio.Task[None]) -> None:
        running.discard(task)
        moved.set()

    workers = [asyncio.create_task(worker(first)) for first in islice(waiting, at_once)]
    running = set(workers)
    for task in workers:
        task.add_done_callback(ended)
    try:
        while running or arrived:
            while arrived:
                yield arrived.popleft()
            moved.clear()
            if running:
                await moved.wait()
    except asyncio.CancelledError:
        await _cancelled(workers)
        while arrived:
            yield arrived.popleft()
        raise
    finally:
        if running:
            await _cancelled(workers)
    if errors := [error for task in workers if (error := task.exception())]:
        raise errors[0]


async def _cancelled(workers: Collection[asyncio.Task[None]]) -> None:
    """Once all of them have ended; what they ended with is of no account."""
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
