"""Keeps at Gemini what all requests of a run begin with, for its length, and says so. See answering/prefix_cache.py."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from prefect import get_run_logger

from tasks.answer_chunk import prefix_cache, process
from tasks.core.answering.run import Run
from tasks.core.prefix import CachedPrefix, Prefix

REMOVE_SECONDS = 10.0


@contextmanager
def prefix_cached(run: Run) -> Iterator[None]:
    """It is there before the first chunk, so that no two processes make one, and deleted after the last."""
    if not (prefix := run.prefix):
        yield
        return
    loop = process.requests
    try:
        copy, why_not = loop.run_from_thread(_made(run, prefix))
        if copy:
            get_run_logger().info("%s tokens that rows begin with are cached until the run ends", f"{copy.tokens:,}")
        else:
            get_run_logger().warning("--cache-prefix: requests go whole: %s", why_not)
        yield
    finally:
        loop.run_from_thread(_removed(run, prefix))


async def _made(run: Run, prefix: Prefix) -> tuple[CachedPrefix | None, str]:
    async with prefix_cache(run, prefix) as cache:
        return await cache.copy(), cache.why_not


async def _removed(run: Run, prefix: Prefix) -> None:
    with suppress(Exception):  # it ends by itself, and the answers are what counts
        async with asyncio.timeout(REMOVE_SECONDS), prefix_cache(run, prefix) as cache:
            await cache.remove()
