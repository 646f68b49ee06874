"""Cuts a run into chunks, and finds out which rows need no request because an earlier one paid for them.

Knows keys and rows, no storage and no data set.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import batched, pairwise

from tasks.core.checkpoint.table.matching import Matching, Unmatched
from tasks.core.records import Chunk, Kind
from tasks.core.text import counted


class Reason(StrEnum):
    """Why a row is sent although there is a checkpoint."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    ASKED = "asked for by --retry-errors"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows are sent; the other `reused` ones have their answers in the table."""

    rows: int
    chunks: list[Chunk]
    reused: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def to_send(self) -> int:
        return self.rows - self.reused


def plan_fresh(rows: int, save_every: int) -> Plan:
    """Every row is sent."""
    starts = range(0, rows, save_every)
    chunks = [Chunk(n, (range(a, min(a + save_every, rows)),)) for n, a in enumerate(starts)]
    return Plan(rows, chunks)


def plan_resume(
    matching: Matching,
    save_every: int,
    own: Collection[str] = (),
    others: bool = True,
    retry_kinds: Collection[Kind] = (),
) -> Plan:
    """Subtract what is finished from the samples of `matching`, and leave there which answer belongs to which row.

    `own`: the attempts of this run itself before it was run again; what they were answered is not asked a second
    time by `retry_kinds`. `others`: whether other attempts count as well. See Matching.match.
    """
    reused = matching.match(own, others, retry_kinds)
    reasons: Counter[Reason] = Counter()

    def to_send() -> Iterable[int]:
        for unmatched in matching.unmatched():
            reasons[_reason(unmatched)] += 1
            yield unmatched.row

    chunks = cut(to_send(), save_every)
    matching.forget_candidates()
    return Plan(matching.asked, chunks, reused, reasons)


def cut(rows: Iterable[int], save_every: int) -> list[Chunk]:
    """Chunks of `save_every` rows; `rows` ascend."""
    return [Chunk(number, _spans(part)) for number, part in enumerate(batched(rows, save_every))]


def plan_line(plan: Plan, settings_changed: bool) -> str:
    """What a resumed run is about to do, before money is spent."""
    line = f"{counted(plan.reused, 'row')} reused from the checkpoint, {plan.to_send:,} to send"
    if plan.reasons:
        line += " (" + ", ".join(f"{n:,} {reason}" for reason, n in plan.reasons.most_common()) + ")"
    if settings_changed and not plan.reused:
        line += "; the model or generation settings changed, so nothing can be reused"
    return line


def _reason(unmatched: Unmatched) -> Reason:
    if unmatched.again is not None:
        return Reason.FAILED if unmatched.again else Reason.ASKED
    return Reason.CHANGED if unmatched.is_known else Reason.NEW


def _spans(rows: Sequence[int]) -> tuple[range, ...]:
    breaks = [0, *(n for n, (a, b) in enumerate(pairwise(rows), 1) if b != a + 1), len(rows)]
    return tuple(range(rows[a], rows[b - 1] + 1) for a, b in pairwise(breaks))
