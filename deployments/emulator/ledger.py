"""What the emulator saw: counts, timings, the last requests. Must not influence any answer.

Times are seconds of the emulator's clock: by default `time.monotonic`, the same in all local processes.
"""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deployments.emulator.behaviours import Behaviour, label_of
from deployments.emulator.replies import Usage
from deployments.emulator.wire import Call, Json, Medium

_TIMINGS_KEPT = 1_000_000
_REQUESTS_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Timing:
    """One reply. `start_seconds` counts from the first request, `elapsed_seconds` is what it really took."""

    start_seconds: float
    latency_seconds: float
    elapsed_seconds: float
    status: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request asked for, its media reduced to size and hash. `config`, `beside`: see Call."""

    version: str
    model: str
    prompt: str
    system: str | None
    config: Json
    mime_type: str | None
    image_bytes: int
    media: tuple[Medium, ...] = ()
    beside: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of the counts. Only `generateContent` requests count, and rows of batch jobs among the answers.

    answers: replies with generated text, which is what is paid for; `batch_answers` of them in batch jobs.
    abandoned: requests whose client went away before the reply; the real API may bill them.
    answered_more_than_once: digest of prompt and image → how often it was answered, if more than once.
    first_request_at, last_answer_at: on the emulator's clock; None while there was none.
    """

    requests: int
    answers: int
    in_flight: int
    peak_in_flight: int
    abandoned: int
    by_status: dict[str, int]
    by_behaviour: dict[str, int]
    distinct_requests: int
    distinct_answered: int
    answered_more_than_once: dict[str, int]
    prompt_tokens: int
    output_tokens: int
    first_request_at: float | None
    last_answer_at: float | None
    batch_answers: int = 0
    cached_tokens: int = 0


@dataclass(slots=True)
class Ledger:
    """The counts as they grow. Written by one event loop; a snapshot may be taken from any thread."""

    in_flight: int = 0
    peak_in_flight: int = 0
    requests: int = 0
    abandoned: int = 0
    batch_answers: int = 0
    cached_tokens: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    first_request_at: float | None = None
    last_answer_at: float | None = None
    by_status: Counter[int] = field(default_factory=Counter)
    by_behaviour: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    timings: deque[Timing] = field(default_factory=lambda: deque(maxlen=_TIMINGS_KEPT))
    last_requests: deque[Seen] = field(default_factory=lambda: deque(maxlen=_REQUESTS_KEPT))

    @contextmanager
    def request(self, now: float) -> Iterator[None]:
        """Count a request as in flight for the length of the block."""
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        if self.first_request_at is None:
            self.first_request_at = now
        try:
            yield
        finally:
            self.in_flight -= 1

    def note_call(self, call: Call, digest: str) -> None:
        """Remember a request that could be read."""
        self.seen[digest] += 1
        self.last_requests.append(
            Seen(
                version=call.version,
                model=call.model,
                prompt=call.prompt,
                system=call.system,
                config=call.config,
                mime_type=call.mime_type,
                image_bytes=len(call.image or b""),
                media=call.media,
                beside=call.beside,
            )
        )

    def note_behaviour(self, behaviour: Behaviour) -> None:
        """Count what a request is about to meet."""
        self.by_behaviour[label_of(behaviour)] += 1

    def note_answer(self, digest: str, usage: Usage, now: float) -> None:
        """Count an answer that is paid for."""
        self.answered[digest] += 1
        self.prompt_tokens += usage.prompt_tokens
        self.output_tokens += usage.output_tokens
        self.cached_tokens += usage.cached_tokens
        self.last_answer_at = now

    def note_reply(self, status: int, arrived: float, latency_seconds: float, now: float) -> None:
        """Count a reply and keep its times."""
        self.by_status[status] += 1
        start = arrived - (arrived if self.first_request_at is None else self.first_request_at)
        self.timings.append(Timing(start, latency_seconds, now - arrived, status))

    def snapshot(self) -> Stats:
        """The counts at this moment."""
        answered = dict(self.answered)  # copied at one go: another thread may be asking
        return Stats(
            requests=self.requests,
            answers=sum(answered.values()),
            in_flight=self.in_flight,
            peak_in_flight=self.peak_in_flight,
            abandoned=self.abandoned,
            by_status={str(status): count for status, count in sorted(dict(self.by_status).items())},
            by_behaviour=dict(self.by_behaviour),
            distinct_requests=len(self.seen),
            distinct_answered=len(answered),
            answered_more_than_once={digest: n for digest, n in answered.items() if n > 1},
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            first_request_at=self.first_request_at,
            last_answer_at=self.last_answer_at,
            batch_answers=self.batch_answers,
            cached_tokens=self.cached_tokens,
        )
