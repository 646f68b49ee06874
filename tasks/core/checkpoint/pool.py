"""Reads what the attempts of a job have kept, as one pool.

Whatever cannot be read is named and costs nothing else. Must not know which rows a run is about to send.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tasks.core.checkpoint.layout import (
    Answers,
    Damaged,
    JobRecords,
    Manifest,
    PoolPart,
    RecordKind,
    Storage,
    StorageError,
    manifest_key,
    parsed,
    summary_key,
    unpack,
)
from tasks.core.records import RowAnswer

READERS = 16
MOST_LOOKS = 5
PART_ROWS = 2000  # answers in a record of the pool
PART_CHARS = 4_000_000  # of their texts
OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class KeptAttempt:
    """What one attempt has kept: an answer for each row number of its own. `packed`: those in full records."""

    attempt: str
    created: datetime = OLDEST
    settings: str = ""
    rows: dict[int, RowAnswer] = field(default_factory=dict)
    packed: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Pool:
    """All answers of a job; `damaged`: the keys of records that could not be read."""

    job: str
    attempts: dict[str, KeptAttempt] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    latest: Manifest | None = None
    full: list[str] = field(default_factory=list)  # keys of records as large as `compact` makes them
    loose: list[str] = field(default_factory=list)  # keys of all other records but the latest manifest and summary

    @property
    def size(self) -> int:
        return sum(len(kept.rows) for kept in self.attempts.values())

    def newest_first(self) -> list[KeptAttempt]:
        return sorted(self.attempts.values(), key=lambda kept: kept.created, reverse=True)

    def results(self, attempts: Collection[str] | None = None) -> Iterator[RowAnswer]:
        """The answers of all attempts, or of these; those of the newest attempt first."""
        for kept in self.newest_first():
            if attempts is None or kept.attempt in attempts:
                yield from kept.rows.values()

    def attempts_of(self, run_id: str) -> list[str]:
        """The attempts of a flow run, whatever is left of them."""
        return [attempt for attempt in self.attempts if attempt.rpartition("-")[0] == run_id]

    def next_attempt(self, run_id: str) -> str:
        numbers = [int(number) for a in self.attempts_of(run_id) if (number := a.rpartition("-")[2]).isdecimal()]
        return f"{run_id}-{max(numbers, default=0) + 1}"

    def _add(self, attempt: str, rows: Iterable[RowAnswer]) -> None:
        kept = self.attempts.setdefault(attempt, KeptAttempt(attempt))
        for result in rows:
            known = kept.rows.get(result.row)
            # A chunk may have been sent twice, by two machines.
            if known is None or known.retryable or not result.retryable:
                kept.rows[result.row] = result


def read_pool(storage: Storage, job: str) -> Pool:
    """Everything that the attempts of `job` have kept.

    Raises:
        OSError: the storage cannot say what there is.
    """
    for _ in range(MOST_LOOKS):
        reader = _PoolReader(storage, job)
        pool = reader.read()
        if not reader.gone:
            return pool
    raise StorageError(f"the records of {job} change faster than they can be read: other runs put them together")


class _PoolReader:
    def __init__(self, storage: Storage, job: str) -> None:
        self._storage = storage
        self._records = JobRecords.listed(storage, job)
        self._pool = Pool(job)
        self.gone = False  # a record that was listed: somebody has just put it into another one

    def read(self) -> Pool:
        pool, places = self._pool, self._records.keys
        for place in places.values():
            if place.attempt:
                pool.attempts.setdefault(place.attempt, KeptAttempt(place.attempt))
        with ThreadPoolExecutor(READERS) as readers:
            self._read_manifests(readers)
            self._read_parts(readers)
            whole = self._read_answers(readers)
            self._read_chunks(readers, whole)
        latest = pool.latest.attempt if pool.latest else ""
        keep = {manifest_key(pool.job, latest), summary_key(pool.job, latest), *pool.damaged}
        loose = {*pool.loose, *self._records.of(RecordKind.MANIFEST, RecordKind.SUMMARY)}
        pool.loose = sorted(loose - keep)
        return pool

    def _read_manifests(self, readers: ThreadPoolExecutor) -> None:
        keys = self._records.of(RecordKind.MANIFEST)
        manifests = [m for _, m in self._each(readers, keys, lambda value: parsed(Manifest, value))]
        for manifest in manifests:
            kept = self._pool.attempts.setdefault(manifest.attempt, KeptAttempt(manifest.attempt))
            kept.created, kept.settings = manifest.created, manifest.settings
        self._pool.latest = max(manifests, key=lambda manifest: manifest.created, default=None)

    def _read_parts(self, readers: ThreadPoolExecutor) -> None:
        for key, part in self._each(readers, self._records.of(RecordKind.POOL), lambda v: parsed(PoolPart, v)):
            full = _is_full(part)
            for kept in part.attempts:
                self._pool._add(kept.attempt, kept.rows)
                known = self._pool.attempts[kept.attempt]
                known.packed.update(result.row for result in kept.rows if full)
                if kept.created and known.created is OLDEST:
                    known.created, known.settings = kept.created, kept.settings
            (self._pool.full if full else self._pool.loose).append(key)

    def _read_answers(self, readers: ThreadPoolExecutor) -> set[tuple[str, int]]:
        """Returns the chunks, as (attempt, number), whose answers have all been read."""
        keys = self._records.of(RecordKind.ANSWERS)
        expected: Counter[tuple[str, str]] = Counter()
        read: dict[tuple[str, str], list[int]] = defaultdict(list)
        done: dict[tuple[str, str], set[int]] = defaultdict(set)
        for key in keys:
            place = self._records.keys[key]
            writer = (place.attempt, place.writer)
            expected[writer] = max(expected[writer], place.number + 1)
        for key, answers in self._each(readers, keys, lambda value: parsed(Answers, value)):
            place = self._records.keys[key]
            self._pool._add(place.attempt, answers.rows)
            read[place.attempt, place.writer].append(place.number)
            done[place.attempt, place.writer].update(answers.done)
        self._pool.loose += keys
        gapless = [writer for writer, most in expected.items() if len(set(read[writer])) == most]
        return {(writer[0], number) for writer in gapless for number in done[writer]}

    def _read_chunks(self, readers: ThreadPoolExecutor, whole: set[tuple[str, int]]) -> None:
        """The records of chunks, but for those whose answers are all there already."""
        places = self._records.keys
        keys = self._records.of(RecordKind.CHUNK)
        unread = [key for key in keys if (places[key].attempt, places[key].number) not in whole]
        for key, rows in self._each(readers, unread, unpack):
            self._pool._add(places[key].attempt, rows)
        self._pool.loose += keys

    def _each[T](
        self, readers: ThreadPoolExecutor, keys: list[str], parse: Callable[[Any], T]
    ) -> Iterator[tuple[str, T]]:
        """(key, record) of all that are there and whole; the others are noted as damaged."""

        def read(key: str) -> tuple[str, T | None, bool]:
            try:
                value = self._storage.read(key)
                return key, None if value is None else parse(value), False
            except Damaged:
                return key, None, True

        for key, record, damaged in readers.map(read, keys):
            if damaged:
                self._pool.damaged.append(key)
            elif record is None:
                self.gone = True
            else:
                yield key, record


def _is_full(part: PoolPart) -> bool:
    rows = [result for kept in part.attempts for result in kept.rows]
    return len(rows) >= PART_ROWS or sum(map(chars, rows)) >= PART_CHARS


def chars(result: RowAnswer) -> int:
    return len(result.response) + len(result.detail)
