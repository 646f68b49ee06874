"""Reads what the attempts of a job have kept, as one pool.

Whatever cannot be read is named and costs nothing else. Must not know which rows a run is about to send.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched
from typing import Any

from tasks.core.checkpoint.contents import Answers, Manifest, PoolPart, parsed, unpack
from tasks.core.checkpoint.layout import (
    Damaged,
    JobRecords,
    RecordKind,
    Storage,
    StorageError,
    manifest_key,
    summary_key,
)
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.records import RowAnswer

READERS = 16
READ_AHEAD = READERS  # records in memory at once
MOST_LOOKS = 5
PART_ROWS = 2000  # answers in a record of the pool
PART_CHARS = 4_000_000  # of their texts


@dataclass(slots=True)
class Pool:
    """All answers of a job; `damaged`: the keys of records that could not be read."""

    job: str
    table: AnswerTable = field(default_factory=AnswerTable)
    damaged: list[str] = field(default_factory=list)
    latest: Manifest | None = None
    full: list[str] = field(default_factory=list)  # keys of records as large as `compact` makes them
    loose: list[str] = field(default_factory=list)  # keys of all other records but the latest manifest and summary

    @property
    def size(self) -> int:
        return len(self.table.kept)

    def results(self, attempts: Collection[str] | None = None) -> Iterator[RowAnswer]:
        """The answers of all attempts, or of these; those of the newest attempt first."""
        return self.table.kept.newest_first(attempts)

    @property
    def newest_settings(self) -> str | None:
        """Those of the latest attempt; None where there is none."""
        return next((settings for _, settings in self.table.kept.attempts().values()), None)

    def attempts_of(self, run_id: str) -> list[str]:
        """The attempts of a flow run, whatever is left of them."""
        return [attempt for attempt in self.table.kept.attempts() if attempt.rpartition("-")[0] == run_id]

    def next_attempt(self, run_id: str) -> str:
        numbers = [int(number) for a in self.attempts_of(run_id) if (number := a.rpartition("-")[2]).isdecimal()]
        return f"{run_id}-{max(numbers, default=0) + 1}"


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
        self._dated: set[str] = set()  # attempts whose manifest was read
        self.gone = False  # a record that was listed: somebody has just put it into another one

    def read(self) -> Pool:
        pool, places = self._pool, self._records.keys
        for place in places.values():
            if place.attempt:
                pool.table.kept.know(place.attempt)
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
        self._dated = {manifest.attempt for manifest in manifests}
        for manifest in manifests:
            self._pool.table.kept.know(manifest.attempt, manifest.created, manifest.settings)
        self._pool.latest = max(manifests, key=lambda manifest: manifest.created, default=None)

    def _read_parts(self, readers: ThreadPoolExecutor) -> None:
        for key, part in self._each(readers, self._records.of(RecordKind.POOL), lambda v: parsed(PoolPart, v)):
            full = _is_full(part)
            for kept in part.attempts:
                self._pool.table.kept.add(kept.attempt, kept.rows, packed=full)
                if kept.created and kept.attempt not in self._dated:
                    self._pool.table.kept.know(kept.attempt, kept.created, kept.settings)
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
            self._pool.table.kept.add(place.attempt, answers.rows)
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
            self._pool.table.kept.add(places[key].attempt, rows)
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

        for some in batched(keys, READ_AHEAD):
            for key, record, damaged in readers.map(read, some):
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
