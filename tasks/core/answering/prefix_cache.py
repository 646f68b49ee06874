"""The copy of a run's prefix that Gemini keeps: found or made, kept alive, made again, deleted. Sends no row.

It saves money and is needed for nothing: where it cannot be had, `why_not` says why. No part of any key.
"""

import asyncio
import math
import time
from contextlib import suppress
from typing import Protocol

from tasks.core.clock import Clock, Sleep
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.prefix import CachedPrefix, Prefix

TTL_SECONDS = 900.0  # what is left of a run that was killed costs no more than this
EXTEND_SECONDS = 300.0  # after which it is given as long again
PAUSES_SECONDS = (2.0, 4.0)  # between tries to make one
MOST_COPIES = 3  # that are looked for at the end; one, as a rule
_FAILURES = (ApiError, ConnectionError, MalformedAnswer, TimeoutError)


class PrefixStore(Protocol):
    """What Gemini caches for a project. All raise ApiError, MalformedAnswer or ConnectionError."""

    exists: bool

    async def find(self, name: str) -> CachedPrefix | None:
        """The one that all who ask for this name get."""
        ...

    async def create(self, prefix: Prefix, ttl_seconds: float) -> CachedPrefix: ...

    async def extend(self, name: str, ttl_seconds: float) -> None: ...

    async def delete(self, name: str) -> None: ...


class PrefixCache:
    """The copy of a run's prefix, as one process knows it. Lives on one event loop. `why_not`: why there is none."""

    def __init__(
        self, store: PrefixStore, prefix: Prefix, *, now: Clock = time.time, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.prefix, self.why_not = prefix, ""
        self._store, self._now, self._sleep = store, now, sleep
        self._made: asyncio.Task[CachedPrefix | None] | None = None
        self._extending: asyncio.Task[None] | None = None
        self._extended_at = -math.inf
        self._is_proven = False

    async def copy(self) -> CachedPrefix | None:
        """It, ready for use; found, or else made, once for all who ask. None: requests go whole."""
        if self.why_not:
            return None
        if self._made is None:
            self._made, self._is_proven = asyncio.create_task(self._found_or_made()), False
        found = await asyncio.shield(self._made)
        if found and self._now() - self._extended_at > EXTEND_SECONDS:
            self._extended_at = self._now()  # where that fails, the next one is in good time
            self._extending = asyncio.create_task(self._extend(found))
        return found

    def proven(self) -> None:
        """A request was answered by it."""
        self._is_proven = True

    def gone(self, copy: CachedPrefix, why: str) -> None:
        """Whoever asks next makes another one, unless none was ever of use: each is paid for."""
        if self._made and self._made.done() and self._made.result() == copy:
            self._made = None
            self.why_not = "" if self._is_proven else why

    async def remove(self) -> None:
        """Delete every copy of it. Where that fails, they end by themselves."""
        with suppress(*_FAILURES):
            for _ in range(MOST_COPIES):
                if copy := await self._store.find(self.prefix.name):
                    await self._store.delete(copy.name)

    async def close(self) -> None:
        under_way = [task for task in (self._made, self._extending) if task]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _found_or_made(self) -> CachedPrefix | None:
        if not self._store.exists:
            self.why_not = "Vertex AI has no such caches"
            return None
        for pause in (*PAUSES_SECONDS, None):
            try:
                return await self._look_and_make()
            except _FAILURES as error:
                if pause is None or not _passes(error):
                    self.why_not = reason_of(error)
                    break
            await self._sleep(pause)
        return None

    async def _look_and_make(self) -> CachedPrefix:
        """What a try before this has made without hearing of it is found. Of two that are made at once, one counts."""
        self._extended_at = -math.inf
        if found := await self._store.find(self.prefix.name):
            return found
        own = await self._store.create(self.prefix, TTL_SECONDS)
        self._extended_at = self._now()
        found = await self._store.find(self.prefix.name) or own
        if found != own:
            await self._store.delete(own.name)
        return found

    async def _extend(self, copy: CachedPrefix) -> None:
        with suppress(*_FAILURES):  # where it is gone, the next request says so
            await self._store.extend(copy.name, TTL_SECONDS)


def _passes(error: Exception) -> bool:
    return not isinstance(error, ApiError) or error.code == 429 or error.code >= 500


def reason_of(error: Exception) -> str:
    return f"{error.code} {error.message}" if isinstance(error, ApiError) else str(error) or type(error).__name__
