"""Cuts a run into chunks, and finds out which rows need no request because an earlier one paid for them.

Pure: knows keys and rows, no storage and no data set.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import batched, pairwise

from tasks.core.records import Chunk, Kind, RowAnswer


class Reason(StrEnum):
    """Why a row is sent although there is a checkpoint."""

    NEW = "new"
    CHANGED = "changed"
    FAILED = "failed before"
    ASKED = "asked for by --retry-errors"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which rows are taken from the checkpoint (`reused`, by row number of this run) and which are sent."""

    rows: int
    chunks: list[Chunk]
    reused: dict[int, RowAnswer] = field(default_factory=dict)
    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def to_send(self) -> int:
        return self.rows - len(self.reused)


def plan_fresh(rows: int, save_every: int) -> Plan:
    """Every row is sent."""
    starts = range(0, rows, save_every)
    chunks = [Chunk(n, (range(a, min(a + save_every, rows)),)) for n, a in enumerate(starts)]
    return Plan(rows, chunks)


def plan_resume(
    samples: Iterable[tuple[str, str]],
    results: Iterable[RowAnswer],
    save_every: int,
    retry_kinds: Sequence[Kind] = (),
    asked_already: Iterable[RowAnswer] = (),
) -> Plan:
    """Subtract what is finished from `samples`, (key, id) pairs in the order of the data set.

    `results` come newest first: of two answers to one sample the newer one counts. Each result serves one
    sample, so samples that stand in the data twice stay two. `asked_already` are newer than `results`: what this run
    itself was answered before it was run again, which `retry_kinds` do not ask a second time.
    """
    kept = _Kept()
    kept.add(asked_already, frozenset())
    kept.add(results, frozenset(retry_kinds))
    reused: dict[int, RowAnswer] = {}
    open_rows: list[int] = []
    reasons: Counter[Reason] = Counter()
    rows = 0
    for row, (key, sample_id) in enumerate(samples):
        rows += 1
        if found := kept.take(key, sample_id):
            reused[row] = replace(found, row=row, id=sample_id)
        else:
            open_rows.append(row)
            reasons[kept.reason(key, sample_id)] += 1
    return Plan(rows, cut(open_rows, save_every), reused, reasons)


def cut(rows: Iterable[int], save_every: int) -> list[Chunk]:
    """Chunks of `save_every` rows; `rows` ascend."""
    return [Chunk(number, _spans(part)) for number, part in enumerate(batched(rows, save_every))]


class _Kept:
    """The results of a checkpoint, to be taken one by one."""

    def __init__(self) -> None:
        self._finished: defaultdict[str, dict[str, list[RowAnswer]]] = defaultdict(dict)  # by key, then id
        self._again: dict[str, Reason] = {}
        self._ids: set[str] = set()

    def add(self, results: Iterable[RowAnswer], retry_kinds: frozenset[Kind]) -> None:
        """Those after the ones that are there already."""
        for result in results:
            self._ids.add(result.id)
            without_image = bool(result.image_note) and Kind.IMAGE in retry_kinds
            if result.retryable or result.kind in retry_kinds or without_image:
                self._again.setdefault(result.key, Reason.FAILED if result.retryable else Reason.ASKED)
            else:
                self._finished[result.key].setdefault(result.id, []).append(result)

    def take(self, key: str, sample_id: str) -> RowAnswer | None:
        """A finished result for `key`, that of the same id if there is one."""
        by_id = self._finished.get(key)
        if not by_id:
            return None
        found = sample_id if sample_id in by_id else next(iter(by_id))
        result = by_id[found].pop(0)
        if not by_id[found]:
            del by_id[found]
        return result

    def reason(self, key: str, sample_id: str) -> Reason:
        return self._again.get(key) or (Reason.CHANGED if sample_id in self._ids else Reason.NEW)


def _spans(rows: Sequence[int]) -> tuple[range, ...]:
    breaks = [0, *(n for n, (a, b) in enumerate(pairwise(rows), 1) if b != a + 1), len(rows)]
    return tuple(range(rows[a], rows[b - 1] + 1) for a, b in pairwise(breaks))


def plan_line(plan: Plan, settings_changed: bool) -> str:
    """What a resumed run is about to do, before money is spent."""
    line = f"{len(plan.reused):,} rows reused from the checkpoint, {plan.to_send:,} to send"
    if plan.reasons:
        line += " (" + ", ".join(f"{n:,} {reason}" for reason, n in plan.reasons.most_common()) + ")"
    if settings_changed and not plan.reused:
        line += "; the model or generation settings changed, so nothing can be reused"
    return line
