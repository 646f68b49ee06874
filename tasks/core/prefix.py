"""The nouns of `--cache-prefix`: what all requests of a run begin with, and its copy at Gemini. Decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tasks.core.records import Request

CACHED_FIELDS = ("tools", "toolConfig")  # of a request's body: the API takes them in a cache, and not beside one


@dataclass(frozen=True, slots=True)
class Prefix:
    """What all requests of a run begin with. `name`: what its copy is found by, in any process and after a crash.

    `text`: how the first turn begins; empty where it begins with nothing that rows share. `body`: tools and the like.
    """

    name: str
    system_instruction: str
    text: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)

    def cut_off(self, request: Request, cache: str) -> Request | None:
        """`request` as it goes out beside `cache`; None where it does not begin like the others."""
        if request.system_instruction is not None:  # of this row alone
            return None
        if not self.text:
            return replace(request, cached_content=cache)
        [first, *others] = request.turns
        [opening, *parts] = first.parts
        if not isinstance(opening, str) or not opening.startswith(self.text) or first.role != "user":
            return None
        rest = opening[len(self.text) :]
        parts = [rest, *parts] if rest.strip() else parts
        if not parts:
            return None
        return replace(request, turns=(replace(first, parts=tuple(parts)), *others), cached_content=cache)


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """A copy that Gemini keeps: `cachedContents/…`, and its length."""

    name: str
    tokens: int
