"""What is cached for many requests: made once, extended, used, gone when its time is over. Must not know HTTP.

As the real API has it: https://ai.google.dev/api/caching. What a request sends beside a cache must not be in it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.emulator.behaviours import HttpError

_LEAST_TOKENS = 1024
_CHARS_PER_TOKEN = 4
_LIFETIME_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class CachedContent:
    """One, with times of the emulator's clock. `prompt`: the text of its contents; `model`: without `models/`."""

    name: str
    model: str
    display_name: str
    prompt: str
    system: str | None
    created_at: float
    expires_at: float

    @property
    def tokens(self) -> int:
        return -(-len(self.prompt) // _CHARS_PER_TOKEN) + -(-len(self.system or "") // _CHARS_PER_TOKEN)


@dataclass(slots=True)
class Caches:
    """`refusals`: what the next ones meet that are to be made. `made`: each, in order, whatever became of it."""

    clock: Callable[[], float]
    least_tokens: int = _LEAST_TOKENS
    refusals: list[HttpError] = field(default_factory=list)
    made: list[CachedContent] = field(default_factory=list)
    extended: int = 0
    deleted: int = 0
    _alive: dict[str, CachedContent] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def create(self, body: Mapping[str, Any], prompt: str, system: str | None) -> CachedContent | HttpError:
        if self.refusals:
            return self.refusals.pop(0)
        now = self.clock()
        cache = CachedContent(
            name=f"cachedContents/emulated{next(self._ids):06d}",
            model=str(body.get("model") or "").removeprefix("models/"),
            display_name=str(body.get("displayName") or ""),
            prompt=prompt,
            system=system,
            created_at=now,
            expires_at=now + _seconds(body),
        )
        if cache.tokens < self.least_tokens:
            sizes = f"total_token_count={cache.tokens}, min_total_token_count={self.least_tokens}"
            return HttpError(400, f"Cached content is too small. {sizes}")
        self._alive[cache.name] = cache
        self.made.append(cache)
        return cache

    def find(self, name: str) -> CachedContent | None:
        """The one of that name, unless its time is over."""
        cache = self._alive.get(name)
        return cache if cache and cache.expires_at > self.clock() else None

    def use(self, name: str, model: str) -> CachedContent | HttpError:
        """It, for a request that names it."""
        cache = self.find(name)
        if cache is None:
            return no_such_cache()
        if cache.model != model:
            return HttpError(
                400, f"Model used by GenerateContent request ({model}) and CachedContent has to be the same."
            )
        return cache

    def alive(self) -> list[CachedContent]:
        return [cache for name in list(self._alive) if (cache := self.find(name))]

    def extend(self, cache: CachedContent, body: Mapping[str, Any]) -> CachedContent:
        self.extended += 1
        longer = self._alive[cache.name] = replace(cache, expires_at=self.clock() + _seconds(body))
        return longer

    def delete(self, name: str) -> None:
        self.deleted += 1
        del self._alive[name]

    def body_of(self, cache: CachedContent) -> dict[str, Any]:
        """The cache as the API describes it: never with its content."""
        now, moment = self.clock(), datetime.now(UTC)
        created = moment - timedelta(seconds=now - cache.created_at)
        return {
            "name": cache.name,
            "model": f"models/{cache.model}",
            "displayName": cache.display_name,
            "createTime": _time(created),
            "updateTime": _time(created),
            "expireTime": _time(moment + timedelta(seconds=cache.expires_at - now)),
            "usageMetadata": {"totalTokenCount": cache.tokens},
        }


def no_such_cache(*_: str) -> HttpError:
    """What the API says of one that is gone, or somebody else's, whatever its name and model."""
    return HttpError(403, "CachedContent not found (or permission denied)")


def _seconds(body: Mapping[str, Any]) -> float:
    return float(str(body.get("ttl") or _LIFETIME_SECONDS).removesuffix("s"))


def _time(moment: datetime) -> str:
    """With nanoseconds, which not every reader of dates takes."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}123Z"
