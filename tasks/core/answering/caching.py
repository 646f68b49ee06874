"""A Model whose requests leave out what they all begin with: Gemini keeps that for them, at a tenth of its price.

Where there is no such copy, or it is gone, requests go whole: no row depends on it.
"""

import asyncio
import re

from tasks.core.answering.base import Model
from tasks.core.answering.prefix_cache import PrefixCache, reason_of
from tasks.core.errors import ApiError
from tasks.core.prefix import CachedPrefix
from tasks.core.records import ModelOutput, Request

_CACHE = re.compile(r"cached.?content", re.IGNORECASE)
_GONE_CODES = (403, 404)


class CachingModel:
    """`model`, whose requests leave out the prefix. `wait_seconds`: for a copy; then a row goes whole."""

    def __init__(self, model: Model, cache: PrefixCache, wait_seconds: float) -> None:
        self._model, self._cache, self._wait_seconds = model, cache, wait_seconds

    async def generate(self, request: Request) -> ModelOutput:
        """See GeminiClient.generate."""
        for _ in range(2):
            copy = await self._copy()
            shorter = self._cache.prefix.cut_off(request, copy.name) if copy else None
            if not (copy and shorter):
                break
            try:
                output = await self._model.generate(shorter)
            except ApiError as error:
                if not _CACHE.search(error.message):
                    raise
                if error.code not in _GONE_CODES:
                    self._cache.why_not = reason_of(error)
                self._cache.gone(copy, reason_of(error))
            else:
                self._cache.proven()
                return output
        return await self._model.generate(request)

    async def list_models(self) -> list[str]:
        return await self._model.list_models()

    async def close(self) -> None:
        await self._cache.close()
        await self._model.close()

    async def _copy(self) -> CachedPrefix | None:
        try:
            async with asyncio.timeout(self._wait_seconds) as waiting:
                return await self._cache.copy()
        except TimeoutError:
            if not waiting.expired():
                raise
            return None
