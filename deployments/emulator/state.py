"""All that changes while the emulator runs, in one place for the API routes and the admin routes.

Must not know HTTP.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from deployments.emulator.answers import AnswerStyle, answer_to, describe
from deployments.emulator.behaviours import INVALID_KEY, NO_KEY, Behaviour
from deployments.emulator.caches import Caches
from deployments.emulator.files import Files
from deployments.emulator.latency import Latency
from deployments.emulator.ledger import Ledger
from deployments.emulator.limits import ApiLimits, Gate
from deployments.emulator.rules import Decision, Rule, RuleBook
from deployments.emulator.typed import typed
from deployments.emulator.wire import Call

DEFAULT_MODELS = (
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-3-flash",
    "gemini-3-pro",
    "gemini-3.1-flash-lite",
    "gemini-3.5-flash",
    "gemini-3.5-flash-lite",
    "gemini-3.6-flash",
    "gemini-flash-latest",
)


@dataclass(slots=True)
class EmulatorState:
    """Settings, and what follows from them: rule uses, quota counts, the ledger."""

    rules: Sequence[Rule]
    latency: Latency
    limits: ApiLimits
    style: AnswerStyle
    models: tuple[str, ...]
    valid_keys: frozenset[str] | None
    seed: int
    clock: Callable[[], float]
    outage: Behaviour | None = None
    files: Files = field(init=False)
    caches: Caches = field(init=False)
    ledger: Ledger = field(init=False)
    gate: Gate = field(init=False)
    _random: Random = field(init=False)
    _book: RuleBook = field(init=False)
    _ids: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self.files, self.caches = Files(self.clock), Caches(self.clock)
        self.reset()

    def reset(self) -> None:
        """Forget what happened; keep the settings."""
        self._ids = itertools.count(1)
        self.ledger = Ledger()
        self._random = Random(self.seed)
        self.set_rules(self.rules)
        self.set_limits(self.limits)

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules."""
        self.rules = tuple(rules)
        self._book = RuleBook(self.rules, self._random)

    def set_limits(self, limits: ApiLimits) -> None:
        """Replace the limits."""
        self.limits = limits
        self.gate = Gate(limits)

    def set_latency(self, latency: Latency) -> None:
        """Replace the latency of requests that arrive from now on."""
        self.latency = latency

    def set_outage(self, outage: Behaviour | None) -> None:
        """Let everybody meet `outage` until further notice."""
        self.outage = outage

    def refuse_caller(self, key: str | None) -> Behaviour | None:
        """What a caller meets at the door: an outage or a bad key; None lets it in."""
        if self.outage is not None:
            return self.outage
        if not key:
            return NO_KEY
        if self.valid_keys is not None and key not in self.valid_keys:
            return INVALID_KEY
        return None

    def decide(self, call: Call, digest: str) -> Decision:
        """What a request meets that was let in and understood."""
        return self._book.decide(call.prompt, digest, call.tier)

    def draw(self, latency: Latency | None) -> float:
        """Seconds: of `latency`, or of the emulator's own if that is None."""
        return (latency or self.latency).draw(self._random)

    def answer(self, call: Call) -> str:
        """The answer to a request, in the style that is set and the form that it asks for."""
        compose = describe if self.style is AnswerStyle.DESCRIBE else answer_to
        return typed(call.config, compose(call.prompt, call.image, call.mime_type))

    def next_response_id(self) -> str:
        """Unique until the next reset."""
        return f"emulated-{next(self._ids):08d}"
