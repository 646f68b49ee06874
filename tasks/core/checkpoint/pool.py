"""Reads what the attempts of a job have kept, as one pool, and puts it together so that it stays cheap to read.

Whatever cannot be read is named and costs nothing else. Must not know which rows a run is about to send.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import BaseModel

from tasks.core.checkpoint.layout import (
    Answers,
    Damaged,
    JobRecords,
    Kept,
    Manifest,
    PoolPart,
    RecordKind,
    Storage,
    Summary,
    jobs,
    manifest_key,
    parsed,
    pool_key,
    summary_key,
    unpack,
)
from tasks.core.keys import slug
from tasks.core.records import RowResult

READERS = 16
PART_ROWS = 2000  # answers in a record of the pool
PART_CHARS = 4_000_000  # of their texts
MOST_LOOSE_RECORDS = 64  # records beside full ones before they are put together
LEAST_WORTH = 0.7  # share of the answers that are worth keeping; below, full records are written anew as well
_OLDEST = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class KeptAttempt:
    """What one attempt has kept: an answer for each row number of its own. `packed`: those in full records."""

    attempt: str
    created: datetime = _OLDEST
    settings: str = ""
    rows: dict[int, RowResult] = field(default_factory=dict)
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

    def results(self, attempts: Collection[str] | None = None) -> Iterator[RowResult]:
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

    def _add(self, attempt: str, rows: Iterable[RowResult]) -> None:
        kept = self.attempts.setdefault(attempt, KeptAttempt(attempt))
        for result in rows:
            kept.rows[result.row] = result


def read_pool(storage: Storage, job: str) -> Pool:
    """Everything that the attempts of `job` have kept.

    Raises:
        OSError: the storage cannot say what there is.
    """
    return _PoolReader(storage, job).read()


class _PoolReader:
    def __init__(self, storage: Storage, job: str) -> None:
        self._storage = storage
        self._records = JobRecords.listed(storage, job)
        self._pool = Pool(job)

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
            kept.created, kept.settings = _aware(manifest.created), manifest.settings
        self._pool.latest = max(manifests, key=lambda manifest: _aware(manifest.created), default=None)

    def _read_parts(self, readers: ThreadPoolExecutor) -> None:
        for key, part in self._each(readers, self._records.of(RecordKind.POOL), lambda v: parsed(PoolPart, v)):
            full = _is_full(part)
            for kept in part.attempts:
                self._pool._add(kept.attempt, kept.rows)
                known = self._pool.attempts[kept.attempt]
                known.packed.update(result.row for result in kept.rows if full)
                if kept.created and known.created is _OLDEST:
                    known.created, known.settings = _aware(kept.created), kept.settings
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
            elif record is not None:
                yield key, record


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_full(part: PoolPart) -> bool:
    rows = [result for kept in part.attempts for result in kept.rows]
    return len(rows) >= PART_ROWS or sum(map(_chars, rows)) >= PART_CHARS


def _chars(result: RowResult) -> int:
    return len(result.response) + len(result.detail)


def record_of[M: BaseModel](storage: Storage, model: type[M], key: str) -> M | None:
    """One record; None where it is not there or cannot be read."""
    try:
        value = storage.read(key)
        return None if value is None else parsed(model, value)
    except Damaged:
        return None


def latest_manifest(storage: Storage, job: str) -> Manifest | None:
    """That of the attempt which came last, of those that can be read."""
    keys = JobRecords.listed(storage, job).of(RecordKind.MANIFEST)
    manifests = [manifest for key in keys if (manifest := record_of(storage, Manifest, key))]
    return max(manifests, key=lambda manifest: _aware(manifest.created), default=None)


def summary_of(storage: Storage, job: str, attempt: str) -> Summary | None:
    return record_of(storage, Summary, summary_key(job, attempt))


def open_attempt_record(storage: Storage, manifest: Manifest) -> None:
    storage.write(manifest_key(manifest.job, manifest.attempt), manifest.model_dump(mode="json"))


def close_attempt_record(storage: Storage, job: str, attempt: str, rows: int, open_rows: int) -> None:
    """Note how an attempt ended."""
    summary = Summary(rows=rows, open=open_rows, finished=datetime.now(UTC))
    storage.write(summary_key(job, attempt), summary.model_dump(mode="json"))


def compact(storage: Storage, pool: Pool, wanted: Counter[tuple[str, str]]) -> int:
    """Put the records that `pool` was read from together, where there are many; returns how many are gone.

    `wanted`: how often the data has each sample, as (key, id). Of those, no more answers are kept than there are
    rows; all others stay. Nothing is removed before what replaces it has been read back. Call it under the lock.
    """
    if len(pool.loose) <= MOST_LOOSE_RECORDS:
        return 0
    kept = _worth_keeping(pool, wanted)
    gone = pool.loose
    if sum(len(attempt.rows) for attempt in kept) < LEAST_WORTH * pool.size:
        gone = sorted([*pool.loose, *pool.full])
    else:
        kept = [replace(a, rows={row: r for row, r in a.rows.items() if row not in a.packed}) for a in kept]
    _write_parts(storage, pool.job, kept)
    storage.delete(gone)
    return len(gone)


def _write_parts(storage: Storage, job: str, attempts: Iterable[KeptAttempt]) -> None:
    writer = uuid4().hex[:12]
    for number, part in enumerate(_parts(attempts)):
        key, value = pool_key(job, writer, number), part.model_dump(mode="json", exclude_defaults=True)
        storage.write(key, value)
        if storage.read(key) != value:
            raise OSError(f"the result storage returns something else than was written to {key}")


def _worth_keeping(pool: Pool, wanted: Counter[tuple[str, str]]) -> list[KeptAttempt]:
    """The answers of all attempts without those that newer ones have made superfluous."""
    successes: Counter[tuple[str, str]] = Counter()
    results: Counter[tuple[str, str]] = Counter()
    answered: Counter[str] = Counter()
    kept_attempts = []
    for kept in pool.newest_first():
        left = replace(kept, rows={})
        for row, result in kept.rows.items():
            sample = (result.key, result.id)
            most = wanted.get(sample)
            if result.open:
                worth = not answered[result.key] and not results[sample]
            elif result.status == "success":
                worth = most is None or successes[sample] < most
                successes[sample] += worth
            else:
                worth = most is None or results[sample] < most
            if worth:
                left.rows[row] = result
                results[sample] += 1
                answered[result.key] += not result.open
        if left.rows:
            kept_attempts.append(left)
    return kept_attempts


def _parts(attempts: Iterable[KeptAttempt]) -> Iterator[PoolPart]:
    """Cut into records of a size that is read and written in no time."""
    part: list[Kept] = []
    rows = chars = 0
    for kept in attempts:
        part.append(_kept(kept))
        for result in kept.rows.values():
            part[-1].rows.append(result)
            rows, chars = rows + 1, chars + _chars(result)
            if rows >= PART_ROWS or chars >= PART_CHARS:
                yield PoolPart(attempts=part)
                part, rows, chars = [_kept(kept)], 0, 0
    if rows:
        yield PoolPart(attempts=[kept for kept in part if kept.rows])


def _kept(kept: KeptAttempt) -> Kept:
    created = None if kept.created is _OLDEST else kept.created
    return Kept(attempt=kept.attempt, created=created, settings=kept.settings, rows=[])


def adopt(storage: Storage, job: str, pool: Pool, keys: Collection[str]) -> list[RowResult]:
    """Take the finished answers to `keys` from another job's `pool` into `job`; returns them, newest first."""
    taken = []
    for kept in pool.newest_first():
        rows = {row: r for row, r in kept.rows.items() if r.key in keys and not r.open}
        if rows:
            taken.append(replace(kept, rows=rows))
    _write_parts(storage, job, taken)
    return [result for kept in taken for result in kept.rows.values()]


def pools_with(storage: Storage, job: str, model: str, keys: Collection[str]) -> Iterator[Pool]:
    """Pools of other jobs of `model` that hold an answer to one of `keys`, by a look at three records of each."""
    for other in jobs(storage):
        if other == job or f"-{slug(model)}-" not in other:
            continue
        records = JobRecords.listed(storage, other)
        answers = records.of(RecordKind.POOL, RecordKind.ANSWERS, RecordKind.CHUNK)
        probes = {answers[n] for n in (0, len(answers) // 2, -1)} if answers else set()
        if any(key in keys for probe in sorted(probes) for key in _keys_in(storage, probe)):
            yield read_pool(storage, other)


def _keys_in(storage: Storage, record: str) -> list[str]:
    try:
        value = storage.read(record)
        if value is None:
            return []
        rows = unpack(value) if "rows" in value else [r for k in parsed(PoolPart, value).attempts for r in k.rows]
        return [result.key for result in rows]
    except (Damaged, TypeError):
        return []
