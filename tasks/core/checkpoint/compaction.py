"""Puts the records of a job together, so that its pool stays cheap to read however many runs it has had.

Nothing is removed before what replaces it has been read back; killed at any moment, no answer is gone.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from uuid import uuid4

from tasks.core.checkpoint.layout import Kept, PoolPart, Storage, pool_key
from tasks.core.checkpoint.pool import OLDEST, PART_CHARS, PART_ROWS, KeptAttempt, Pool, chars
from tasks.core.records import RowAnswer

MOST_LOOSE_RECORDS = 64  # records beside full ones before they are put together
LEAST_WORTH = 0.7  # share of the answers that are worth keeping; below, full records are written anew as well


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
    failures: set[tuple[str, str]] = set()
    answered: Counter[str] = Counter()
    kept_attempts = []
    for kept in pool.newest_first():
        left = replace(kept, rows={})
        for row, result in kept.rows.items():
            sample = (result.key, result.id)
            most = wanted.get(sample)
            if result.retryable:
                worth = not answered[result.key] and sample not in failures
                failures.add(sample)
            elif result.status == "success":
                worth = most is None or successes[sample] < most
                successes[sample] += worth
            else:
                worth = most is None or results[sample] < most
            if worth:
                left.rows[row] = result
                results[sample] += not result.retryable
                answered[result.key] += not result.retryable
        if left.rows:
            kept_attempts.append(left)
    return kept_attempts


def _parts(attempts: Iterable[KeptAttempt]) -> Iterator[PoolPart]:
    """Cut into records of a size that is read and written in no time."""
    part: list[Kept] = []
    rows = size = 0
    for kept in attempts:
        part.append(_kept(kept))
        for result in kept.rows.values():
            part[-1].rows.append(result)
            rows, size = rows + 1, size + chars(result)
            if rows >= PART_ROWS or size >= PART_CHARS:
                yield PoolPart(attempts=part)
                part, rows, size = [_kept(kept)], 0, 0
    if rows:
        yield PoolPart(attempts=[kept for kept in part if kept.rows])


def _kept(kept: KeptAttempt) -> Kept:
    created = None if kept.created is OLDEST else kept.created
    return Kept(attempt=kept.attempt, created=created, settings=kept.settings, rows=[])


def adopt(storage: Storage, job: str, pool: Pool, keys: Collection[str]) -> list[RowAnswer]:
    """Take the finished answers to `keys` from another job's `pool` into `job`; returns them, newest first."""
    taken = []
    for kept in pool.newest_first():
        rows = {row: r for row, r in kept.rows.items() if r.key in keys and not r.retryable}
        if rows:
            taken.append(replace(kept, rows=rows))
    _write_parts(storage, job, taken)
    return [result for kept in taken for result in kept.rows.values()]
