"""Counts outcomes. Decides nothing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tasks.core.checkpoint.table.rows import Group
from tasks.core.details import Usage
from tasks.core.records import Kind, RowAnswer


@dataclass(slots=True)
class Tally:
    """Outcomes of some rows: how many of each kind, images sent, tokens billed, answers of models not asked for.

    `repeats`: rows that needed no request because another asked the same, which has saved the tokens `saved`.
    """

    kinds: Counter[Kind] = field(default_factory=Counter)
    images: int = 0
    image_notes: int = 0
    retryable: int = 0
    timeouts: int = 0
    lost: int = 0
    usage: Usage = field(default_factory=Usage)
    other_models: Counter[str] = field(default_factory=Counter)
    repeats: int = 0
    saved: Usage = field(default_factory=Usage)

    @classmethod
    def of(cls, results: Iterable[RowAnswer]) -> "Tally":
        tally = cls()
        for result in results:
            tally.add(result)
        return tally

    @classmethod
    def of_groups(cls, groups: Iterable[Group]) -> "Tally":
        """The same of answers that were counted where they lie."""
        tally = cls()
        for group in groups:
            tally.kinds[group.kind] += group.rows
            tally.image_notes += group.image_notes
            tally.retryable += group.rows if group.kind.retryable else 0
            tally._pay(group)
            if group.answered_by:
                tally.other_models[group.answered_by] += group.rows
        return tally

    def _pay(self, group: Group) -> None:
        if not group.shared:
            self.images += group.images
            self.timeouts += group.timeouts
            self.lost += group.lost
            self.usage += _usage(group)
        elif group.kind is not Kind.INPUT:  # for which nothing would have been sent
            self.repeats += group.rows
            self.saved += _usage(group)

    def add(self, result: RowAnswer) -> None:
        self.kinds[result.kind] += 1
        self.images += result.has_image
        self.image_notes += bool(result.image_note)
        self.retryable += result.retryable
        self.timeouts += result.timeouts
        self.lost += result.lost
        self.usage += _usage(result)
        if result.answered_by:
            self.other_models[result.answered_by] += 1

    @property
    def rows(self) -> int:
        return self.kinds.total()

    @property
    def successes(self) -> int:
        return self.kinds[Kind.ANSWERED] + self.kinds[Kind.TRUNCATED]

    @property
    def errors(self) -> int:
        return self.rows - self.successes

    def __str__(self) -> str:
        """`9 answered, 1 blocked`, most first."""
        return ", ".join(f"{n:,} {kind}" for kind, n in self.kinds.most_common()) or "no rows"


def _usage(of: RowAnswer | Group) -> Usage:
    return Usage(of.prompt_tokens, of.answer_tokens, of.cached_tokens, of.thought_tokens)
