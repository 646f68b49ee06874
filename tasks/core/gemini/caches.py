"""Gemini's explicit caching, call by call: https://ai.google.dev/api/caching. Decides nothing, tries nothing again."""

from typing import Any

import aiohttp
from google import genai

from tasks.core.gemini.calls import Calls, Send
from tasks.core.gemini.lenient import Json, first_object, objects, root_object, tokens, word
from tasks.core.prefix import CachedPrefix, Prefix

_MAKE = aiohttp.ClientTimeout(total=120)  # all of it is read by the model
_PAGE_SIZE = 100


class GeminiCaches:
    """A PrefixStore (see answering/prefix_cache.py)."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession, model: str) -> None:
        self.exists = not client.vertexai  # which has them under other names
        self._calls = Calls(client, session)
        self._model = model if "/" in model else f"models/{model}"

    async def find(self, name: str) -> CachedPrefix | None:
        """Of those that bear the name, the one that was made first."""
        token, found = "", list[Json]()
        while True:
            path = f"cachedContents?pageSize={_PAGE_SIZE}" + (f"&pageToken={token}" if token else "")
            page = root_object(await self._calls.harmless("get", path))
            found += [each for each in objects(page.get("cachedContents", [])) if self._is(each, name)]
            if not (token := word(page.get("nextPageToken"), 1000)):
                first = min(
                    found, key=lambda each: (word(each.get("createTime")), word(each.get("name"))), default=None
                )
                return _cached(first) if first else None

    async def create(self, prefix: Prefix, ttl_seconds: float) -> CachedPrefix:
        """A new one, whatever there is already. It is paid for."""
        body: dict[str, Any] = {"model": self._model, "displayName": prefix.name, "ttl": f"{ttl_seconds:g}s"}
        if prefix.system_instruction:
            body["systemInstruction"] = {"parts": [{"text": prefix.system_instruction}]}
        if prefix.text:
            body["contents"] = [{"role": "user", "parts": [{"text": prefix.text}]}]
        return _cached(
            root_object(await self._calls.text("post", "cachedContents", Send(_MAKE, body=body | {**prefix.body})))
        )

    async def extend(self, name: str, ttl_seconds: float) -> None:
        """Let it live for so long from now on."""
        await self._calls.harmless("patch", f"{name}?updateMask=ttl", Send(body={"ttl": f"{ttl_seconds:g}s"}))

    async def delete(self, name: str) -> None:
        await self._calls.harmless("delete", name)

    def _is(self, cache: Json, name: str) -> bool:
        return cache.get("displayName") == name and cache.get("model") == self._model


def _age(cache: Json) -> tuple[str, str]:
    return word(cache.get("createTime")), word(cache.get("name"))


def _cached(cache: Json) -> CachedPrefix:
    size = first_object(cache.get("usageMetadata")).get("totalTokenCount")
    return CachedPrefix(word(cache.get("name"), 1000), tokens(size))
