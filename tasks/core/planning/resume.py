"""Cuts a run into chunks, and finds out which rows need no request because an earlier one paid for them.

Knows keys and rows, no storage and no data set.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import batched, pairwise

from tasks.core.checkpoint.table import AnswerTable
from tasks.core.checkpoint.table.matching import Unmatched
from tasks.core.checkpoint.table.repeats import Repeats
from tasks.core.records import Chunk, Kind, Repeat
from tasks.core.text import counted

logger = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why a row is sent although there is a checkpoint."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    ASKED = "asked for by --retry-errors"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows are sent. `reused` ones have their answers in the table; `repeats` get those of rows that are sent.

    `chunks`: cut as they are asked for where rows were not looked at before; once only, and then `repeats` are not
    known yet.
    """

    rows: int
    chunks: Iterable[Chunk]
    reused: int = 0
    repeats: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    in_flight: int = 0  # rows in batch jobs that have not ended

    @property
    def to_send(self) -> int:
        return self.rows - self.reused - self.repeats - self.in_flight

    def cut_anew(self, save_every: int) -> "Plan":
        """The same rows in other chunks, which are cut as they are asked for."""
        rows = (row for chunk in self.chunks for span in chunk.spans for row in span)
        return replace(self, chunks=_cut(rows, save_every))


def plan_fresh(rows: int, save_every: int) -> Plan:
    """Every row is sent."""
    starts = range(0, rows, save_every)
    chunks = [Chunk(n, (range(a, min(a + save_every, rows)),)) for n, a in enumerate(starts)]
    return Plan(rows, chunks)


def plan_as_read(rows: int, save_every: int, samples: Iterable[tuple[str, str]], repeats: Repeats) -> Plan:
    """Every row is sent that asks what none before it does. `samples`: (key, id) of each, read as chunks are cut."""
    return Plan(rows, _cut(_leaders(rows, samples, repeats), save_every))


def plan_resume(
    table: AnswerTable,
    save_every: int,
    own: Collection[str] = (),
    others: bool = True,
    retry_kinds: Collection[Kind] = (),
    dedupe: bool = True,
    in_flight: Mapping[str, int] | None = None,
) -> Plan:
    """Subtract what is finished from the samples of `table`, and leave there which answer belongs to which row.

    `own`: the attempts of this run itself before it was run again; what they were answered is not asked a second
    time by `retry_kinds`. `others`: whether other attempts count as well. See Matching.match. `dedupe`: whether rows
    that ask the same share an answer. `in_flight`: how many rows of a key are in batch jobs that have not ended.
    """
    matching, left = table.matching, Counter(in_flight)
    reused = matching.match(own, others, retry_kinds, share=dedupe)
    repeats = table.repeats.find() if dedupe else 0
    reasons: Counter[Reason] = Counter()

    def to_send() -> Iterable[int]:
        for unmatched in matching.unmatched():
            if left[unmatched.key] > 0:
                left[unmatched.key] -= 1
                continue
            reasons[_reason(unmatched)] += 1
            yield unmatched.row

    chunks = cut(to_send(), save_every)
    matching.forget_candidates()
    skipped = Counter(in_flight).total() - left.total()
    return Plan(matching.asked, chunks, reused, repeats, reasons, skipped)


def cut(rows: Iterable[int], save_every: int) -> list[Chunk]:
    """Chunks of `save_every` rows; `rows` ascend."""
    return list(_cut(rows, save_every))


def plan_line(plan: Plan, settings_changed: bool) -> str:
    """What a resumed run is about to do, before money is spent."""
    line = f"{counted(plan.reused, 'row')} reused from the checkpoint, {plan.to_send:,} to send"
    if plan.reasons:
        line += " (" + ", ".join(f"{n:,} {reason}" for reason, n in plan.reasons.most_common()) + ")"
    if plan.repeats:
        line += f", {plan.repeats:,} that ask the same as one of those"
    if plan.in_flight:
        line += f", {plan.in_flight:,} in batch jobs that have not ended"
    if settings_changed and not plan.reused:
        line += "; the model or generation settings changed, so nothing can be reused"
    return line


def _cut(rows: Iterable[int], save_every: int) -> Iterator[Chunk]:
    return (Chunk(number, _spans(part)) for number, part in enumerate(batched(rows, save_every)))


def _leaders(rows: int, samples: Iterable[tuple[str, str]], repeats: Repeats) -> Iterator[int]:
    """Those of the rows that are the first to ask what they ask; the others are left to `repeats`."""
    done = 0
    try:
        for row, (key, sample_id) in enumerate(samples):
            if (leader := repeats.claims.leader(key, row)) == row:
                yield row
            else:
                repeats.wait([Repeat(row, sample_id, key, leader)])
            done = row + 1
    except Exception:  # what cannot be read here cannot be read by its chunk either, and that says so
        logger.debug("rows could not be looked at before they are sent", exc_info=True)
        yield from range(done, rows)


def _reason(unmatched: Unmatched) -> Reason:
    if unmatched.again is not None:
        return Reason.FAILED if unmatched.again else Reason.ASKED
    return Reason.CHANGED if unmatched.is_known else Reason.NEW


def _spans(rows: Sequence[int]) -> tuple[range, ...]:
    breaks = [0, *(n for n, (a, b) in enumerate(pairwise(rows), 1) if b != a + 1), len(rows)]
    return tuple(range(rows[a], rows[b - 1] + 1) for a, b in pairwise(breaks))
