"""The nouns of a run: what goes in, what comes back, what is kept. Plain values, no behaviour worth mocking."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tasks.core.details import NO_TOKENS, STANDARD, Count, Details, Usage, unpaid
from tasks.core.errors import StopReason


class Kind(StrEnum):
    """What became of a sample. The value is the `<kind>` of `error_message` in the CSV."""

    ANSWERED = "answered"
    TRUNCATED = "truncated"
    BLOCKED = "blocked"
    EMPTY = "empty"
    SCHEMA = "schema"
    INVALID_REQUEST = "invalid_request"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    NETWORK = "network"
    TIMEOUT = "timeout"
    IMAGE = "image"
    INPUT = "input"
    UNSENT = "unsent"

    @property
    def retryable(self) -> bool:
        """Whether asking again later can help."""
        return self in RETRYABLE

    @property
    def answered(self) -> bool:
        """Whether the model itself has dealt with the request."""
        return self in ANSWERS


SUCCESSES = (Kind.ANSWERED, Kind.TRUNCATED)
ANSWERS = frozenset({Kind.ANSWERED, Kind.TRUNCATED, Kind.BLOCKED, Kind.EMPTY, Kind.SCHEMA})
RETRYABLE = frozenset({Kind.RATE_LIMIT, Kind.SERVER_ERROR, Kind.NETWORK, Kind.TIMEOUT, Kind.UNSENT})


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a document, audio or video: its bytes as they go to the API, with their true MIME type.

    `name`: how a person knows it; is not sent. `note`: what of it does not go out, such as all frames but the first.
    """

    data: bytes
    mime_type: str
    note: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class MediaUri:
    """A file that the API fetches by itself, such as `gs://bucket/a.mp4`. `mime_type`: empty where the API knows it."""

    uri: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A medium that the File API keeps, until `expires_at` (seconds since 1970)."""

    uri: str
    mime_type: str
    expires_at: float


type Part = str | Media | MediaUri


@dataclass(frozen=True, slots=True)
class Sample:
    """One record of the data set. `row` counts from 0 in the split as read; media are read separately.

    `text`: of the text column. `values`: cells that are more than text, by column, where a template or a conversation
    needs them.
    """

    row: int
    id: str
    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side of a conversation says; Gemini's roles are `user` and `model`."""

    role: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One call. `system_instruction`: where the sample has one of its own; None: that of the run.

    `cached_content`: where the beginning is kept that does not go along, the run's system instruction among it.
    """

    turns: tuple[Turn, ...]
    system_instruction: str | None = None
    cached_content: str = ""

    @classmethod
    def of(cls, *parts: Part) -> "Request":
        """One turn of the user's."""
        return cls((Turn("user", parts),))

    def followed_by(self, answer: str, objection: str) -> "Request":
        """The same, with an answer to it and what was said against that."""
        return replace(self, turns=(*self.turns, Turn("model", (answer,)), Turn("user", (objection,))))

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for turn in self.turns for part in turn.parts)

    @property
    def text(self) -> str:
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def inline(self) -> tuple[Media, ...]:
        return tuple(part for part in self.parts if isinstance(part, Media))

    @property
    def media(self) -> tuple[Media | MediaUri, ...]:
        return tuple(part for part in self.parts if not isinstance(part, str))


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """One answer of the API, reduced to what the outcome depends on. Reasons keep Gemini's spelling.

    `other_parts`: what came beside or instead of text, such as `inlineData image/png`. `thoughts`: some tokens went
    into thinking. `model_version`: the model that answered, where it is another one than was asked.
    """

    text: str = ""
    finish_reason: str = ""
    block_reason: str = ""
    safety_ratings: str = ""
    usage: Usage = NO_TOKENS
    blank: bool = False  # a 200 that says nothing at all
    other_parts: str = ""
    thoughts: bool = False
    model_version: str = ""
    service_tier: str = STANDARD
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request. `for_all_rows`: every other request would meet the same refusal.

    `again`: further attempts at most that it deserves; None: as its kind has it. `refused`: why the run stops, where
    it stops over this. `answered_by`: the model, where it is another one than was asked. `maybe_billed`: the request
    went out and its answer, if there was one, is not known.
    """

    kind: Kind
    text: str = ""
    detail: str = ""
    usage: Usage = NO_TOKENS
    retry_delay_seconds: float | None = None
    daily_quota: bool = False
    for_all_rows: bool = False
    again: int | None = None
    refused: StopReason = StopReason.REFUSED
    answered_by: str = ""
    maybe_billed: bool = False
    service_tier: str = STANDARD
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """What is kept of one sample in the checkpoint. `key` is the sample key (see checkpoint.py).

    `kind` decides whether the row is finished; `image_note` says why an image was not sent; `timeouts`: requests that
    brought no answer in time and may have been billed, `lost`: that brought none for another reason and may have been;
    `answered_by` is the model, where it is another one than was asked; `details`: packed, for they are read only where
    they are written down (see details.py). Tokens are those of all requests of the row.
    """

    row: Count
    id: str
    key: str
    kind: Kind
    has_image: bool = False
    response: str = ""
    detail: str = ""
    image_note: str = ""
    prompt_tokens: Count = 0
    answer_tokens: Count = 0
    timeouts: Count = 0
    answered_by: str = ""
    cached_tokens: Count = 0
    thought_tokens: Count = 0
    lost: Count = 0
    service_tier: str = STANDARD
    details: str = ""

    @property
    def retryable(self) -> bool:
        """Whether the row is worth sending again."""
        return self.kind.retryable

    @property
    def status(self) -> str:
        return "success" if self.kind in SUCCESSES else "error"

    def repeated(self) -> "RowAnswer":
        """The same for a row that asks the same: nothing was paid for it."""
        nothing: dict[str, Any] = dict.fromkeys(_PAID, 0)
        return replace(self, **nothing, details=unpaid(self.details))

    @property
    def error_message(self) -> str:
        parts = [f"{self.kind}: {self.detail}"] if self.detail or self.kind is not Kind.ANSWERED else []
        parts += [f"{Kind.IMAGE}: {self.image_note}"] if self.image_note else []
        return "; ".join(parts)


_PAID = ("prompt_tokens", "answer_tokens", "cached_tokens", "thought_tokens", "timeouts", "lost")


@dataclass(frozen=True, slots=True)
class Repeat:
    """A row that asks what the row `of` asks: nothing is sent for it, and it gets that one's answer."""

    row: int
    id: str
    key: str
    of: int


def unsent(row: int) -> RowAnswer:
    """Stands for a row that has no answer yet, where every row must stand."""
    return RowAnswer(row=row, id="", key="", kind=Kind.UNSENT, detail="no answer yet; --resume sends it")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Up to `save_every` samples: the unit of persistence. `spans` are ranges of row numbers, ascending."""

    number: int
    spans: tuple[range, ...]

    def __len__(self) -> int:
        return sum(len(span) for span in self.spans)

    @property
    def label(self) -> str:
        """How a person finds the chunk's rows: `rows 120-129`, `rows 3-977, 10 of them`."""
        first, last = self.spans[0].start, self.spans[-1].stop - 1
        rest = "" if last - first + 1 == len(self) else f", {len(self)} of them"
        return f"rows {first}-{last}{rest}" if last > first else f"row {first}"
