"""Which behaviour a request meets. First rule that fits wins. Must not act on the behaviour."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from deployments.emulator.behaviours import Answer, Behaviour
from deployments.emulator.latency import Latency


@dataclass(frozen=True, slots=True)
class Rule:
    """When to behave in which way; every condition must hold.

    pattern: regular expression sought in the prompt; empty fits every prompt.
    tier: the `serviceTier` that the request asks for; empty fits all.
    times: only so often in all; `times_each`: only so often for each distinct prompt and image.
    probability: of a request that fits so far, the share that meets the behaviour.
    latency: instead of the emulator's own.
    """

    behaviour: Behaviour
    pattern: str = ""
    times: int | None = None
    times_each: int | None = None
    probability: float = 1.0
    latency: Latency | None = None
    tier: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern={self.pattern!r} is no regular expression: {error}") from error
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability={self.probability} must lie between 0 and 1")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a request meets; `latency` None means the emulator's own."""

    behaviour: Behaviour
    latency: Latency | None = None


class RuleBook:
    """The rules with the count of their uses."""

    def __init__(self, rules: Sequence[Rule], random: Random) -> None:
        self._rules = tuple(rules)
        self._random = random
        self._uses: Counter[int] = Counter()
        self._uses_each: Counter[tuple[int, str]] = Counter()

    def decide(self, prompt: str, digest: str, tier: str = "") -> Decision:
        """The first fitting rule's behaviour, an answer if none fits. `digest` names prompt and image."""
        for index, rule in enumerate(self._rules):
            if rule.tier in ("", tier) and self._fits(index, rule, prompt, digest):
                self._uses[index] += 1
                if rule.times_each is not None:
                    self._uses_each[index, digest] += 1
                return Decision(rule.behaviour, rule.latency)
        return Decision(Answer())

    def _fits(self, index: int, rule: Rule, prompt: str, digest: str) -> bool:
        return (
            (rule.times is None or self._uses[index] < rule.times)
            and (rule.times_each is None or self._uses_each[index, digest] < rule.times_each)
            and (not rule.pattern or re.search(rule.pattern, prompt) is not None)
            and (rule.probability >= 1 or self._random.random() < rule.probability)
        )
