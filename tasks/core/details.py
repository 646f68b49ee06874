"""What is known of an answer beside its text: what it took, who gave it, what it rests on. Decides nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Self, TypedDict

from pydantic import Field, TypeAdapter, ValidationError

type Count = Annotated[int, Field(ge=0, lt=2**63)]  # as any database holds it; a larger one is damage

STANDARD = "standard"  # the service tier of a request that asks for no other


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens billed, in tokens. `cached_tokens` are among the prompt's, `thought_tokens` among the answer's.

    `by_modality`: as far as the API tells, such as `{"prompt_image": 258, "answer_text": 12}`.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    cached_tokens: int = 0
    thought_tokens: int = 0
    by_modality: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Self) -> "Usage":
        mine, theirs = self.by_modality, other.by_modality
        both = {**mine, **theirs}
        if mine and theirs:
            both = {name: mine.get(name, 0) + theirs.get(name, 0) for name in both}
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.answer_tokens + other.answer_tokens,
            self.cached_tokens + other.cached_tokens,
            self.thought_tokens + other.thought_tokens,
            both,
        )

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.answer_tokens


NO_TOKENS = Usage()


@dataclass(slots=True)
class Spent:
    """What the requests of a row have taken so far. `usage`: of all of them; `failed`: of those before the last one.

    `timeouts`, `lost`: requests that ended without an answer and may have been billed; `lost` by another cause than
    time. `latency_seconds`: of the last one. `answered_at`: its end, in seconds since 1970.
    """

    usage: Usage = NO_TOKENS
    failed: Usage = NO_TOKENS
    requests: int = 0
    timeouts: int = 0
    lost: int = 0
    latency_seconds: float = 0.0
    answered_at: float = 0.0


class Source(NamedTuple):
    """What an answer rests on. `kind`: `grounding`, `url_context` or `citation`."""

    kind: str
    uri: str
    title: str


class Details(TypedDict, total=False):
    """What the result's table has beside the CSV's columns; what is not told, is not there.

    `finish_reason`: or why the prompt was blocked. `searches`: of the web, which are billed apart. `failed_…`: tokens
    of requests that were answered and made again; they are among the row's own.
    """

    finish_reason: str
    model_version: str
    response_id: str
    safety_ratings: str
    sources: list[Source]
    searches: Count
    by_modality: dict[str, Count]
    latency_seconds: float
    attempts: Count
    failed_prompt_tokens: Count
    failed_answer_tokens: Count
    answered_at: Annotated[float, Field(ge=0, le=2**37)]


def packed(told: Details, spent: Spent) -> str:
    """What an answer has told and its requests have taken, as it is kept by the million: JSON on one line."""
    details: Details = {**told}
    if spent.requests:
        details["attempts"] = spent.requests
        details["latency_seconds"] = round(spent.latency_seconds, 3)
        details["answered_at"] = round(spent.answered_at, 3)
    if spent.usage.by_modality:
        details["by_modality"] = {**spent.usage.by_modality}
    if spent.failed.total:
        details["failed_prompt_tokens"] = spent.failed.prompt_tokens
        details["failed_answer_tokens"] = spent.failed.answer_tokens
    return _JSON.encode(details) if details else ""


def unpacked(text: str) -> Details:
    """What `packed` has made; what cannot be read costs no answer."""
    try:
        return _DETAILS.validate_json(text) if text else {}
    except ValidationError:
        return {}


def unpaid(text: str) -> str:
    """The same without what the requests have taken: of a row for which none was made."""
    told = {name: value for name, value in unpacked(text).items() if name not in _TAKEN}
    return _JSON.encode(told | {"attempts": 0})


_TAKEN = ("latency_seconds", "by_modality", "searches", "failed_prompt_tokens", "failed_answer_tokens")
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_DETAILS = TypeAdapter(Details)
