"""Dollars a token, by what the token is of. Plain values that go to any machine; knows no list."""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.core.details import Usage

SEARCH = "search"  # of the web, a search
_CHEAPER = ("prompt", "answer")  # by a tier; what is cached, or searched for, is not


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars for one. `above`: for requests with more prompt tokens than that, the lowest bound first."""

    dollars: float
    above: tuple[tuple[int, float], ...] = ()

    def of(self, prompt_tokens: int) -> float:
        """In a request with so many."""
        if not self.above:
            return self.dollars
        return next((price for bound, price in reversed(self.above) if prompt_tokens > bound), self.dollars)

    def times(self, factor: float) -> "Rate":
        return Rate(self.dollars * factor, tuple((bound, price * factor) for bound, price in self.above))


@dataclass(frozen=True, slots=True)
class Rates:
    """Of `prompt`, `cached` and `answer`; of a modality that has its own, as Usage calls it: `prompt_audio`."""

    by_name: Mapping[str, Rate]

    def dollars(self, usage: Usage, searches: int = 0, longest: int | None = None) -> float:
        """Of one request, for a long prompt makes all of it dearer; of several, the `longest` of which is given."""
        size = usage.prompt_tokens if longest is None else longest
        dollars = (usage.prompt_tokens - usage.cached_tokens) * self._rate("prompt", size)
        dollars += usage.cached_tokens * self._rate("cached", size) + usage.answer_tokens * self._rate("answer", size)
        for name in self.by_name.keys() & usage.by_modality.keys() if usage.by_modality else ():
            kind, modality = name.split("_", 1)
            count = usage.by_modality[name]
            if kind == "prompt":
                count -= usage.by_modality.get(f"cached_{modality}", 0)
            dollars += count * (self._rate(name, size) - self._rate(kind, size))
        return dollars + searches * self._rate(SEARCH, size)

    @property
    def modalities(self) -> list[str]:
        """Names of what has a rate of its own, as Usage has them."""
        return [name for name in self.by_name if "_" in name]

    def times(self, factor: float) -> "Rates":
        """Those of a tier."""
        changed = {
            name: rate.times(factor) if name.startswith(_CHEAPER) else rate for name, rate in self.by_name.items()
        }
        return Rates(changed)

    def most(self, prompt_tokens: int, media_tokens: int, answer_tokens: int) -> float:
        """Of one request, in whatever modality is dearest. `media_tokens`: of the prompt's, those that are no text."""
        text = (prompt_tokens - media_tokens) * self._rate("prompt", prompt_tokens)
        media = media_tokens * self._dearest("prompt", prompt_tokens)
        return text + media + answer_tokens * self._dearest("answer", prompt_tokens)

    def _dearest(self, kind: str, prompt_tokens: int) -> float:
        return max(rate.of(prompt_tokens) for name, rate in self.by_name.items() if name.startswith(kind))

    def _rate(self, name: str, prompt_tokens: int) -> float:
        rate = self.by_name.get(name)
        return rate.of(prompt_tokens) if rate else 0.0
