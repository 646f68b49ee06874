"""Waits for the end of whoever holds a job's lock: a process of a cluster works for a run that may be gone."""

import asyncio
import time
from contextlib import suppress

from tasks.core.checkpoint.holder import BEAT_SECONDS, holder_of
from tasks.core.checkpoint.layout import Storage, lock_key

SILENT_SECONDS = 25.0  # less than it takes for another run to take the job over


async def until_lost(storage: Storage, job: str, owner: str) -> str:
    """Returns once the run that is the lock's `owner` no longer counts, with the reason; a failing storage is none."""
    beats, seen = -1, time.monotonic()
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with suppress(OSError):
            holder = await asyncio.to_thread(holder_of, storage, lock_key(job))
            if holder is None or holder.owner != owner:
                return "the run that asked for this has ended"
            if holder.beats != beats:
                beats, seen = holder.beats, time.monotonic()
            elif time.monotonic() - seen > SILENT_SECONDS:
                return "the run that asked for this shows no sign of life"
