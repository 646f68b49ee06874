"""Puts the records of a job together, so that its pool stays cheap to read however many runs it has had.

Nothing is removed before what replaces it has been read back; killed at any moment, no answer is gone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from uuid import uuid4

from tasks.core.checkpoint.contents import Kept, PoolPart
from tasks.core.checkpoint.layout import Storage, pool_key
from tasks.core.checkpoint.pool import PART_CHARS, PART_ROWS, Pool, chars
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.checkpoint.table.kept import OLDEST
from tasks.core.records import RowAnswer

MOST_LOOSE_RECORDS = 64  # records beside full ones before they are put together
LEAST_WORTH = 0.7  # share of the answers that are worth keeping; below, full records are written anew as well


def compact(storage: Storage, pool: Pool, whole: bool) -> int:
    """Put the records that `pool` was read from together, where there are many; returns how many are gone.

    `whole`: the samples in the pool's table are all that the data has. Of each, no more answers are kept than there
    are rows; all others stay. Nothing is removed before what replaces it has been read back. Call it under the lock.
    """
    if len(pool.loose) <= MOST_LOOSE_RECORDS:
        return 0
    superfluous = 0

    def dropped() -> Iterator[int]:
        nonlocal superfluous
        for place in _not_worth_keeping(pool.table.earlier.by_key(whole)):
            superfluous += 1
            yield place

    pool.table.earlier.drop(dropped())
    anew = pool.size - superfluous < LEAST_WORTH * pool.size
    for _ in _write_parts(storage, pool.job, pool.table, pool.table.earlier.worth_keeping(loose_only=not anew)):
        pass
    gone = sorted([*pool.loose, *pool.full]) if anew else pool.loose
    storage.delete(gone)
    return len(gone)


def adopt(storage: Storage, job: str, table: AnswerTable, other: Pool, wants: Callable[[str], bool]) -> int:
    """Take the finished answers that `wants` their keys from another job's pool into `job` and its `table`.

    Returns how many there were.
    """
    taken = 0

    def found() -> Iterator[tuple[str, RowAnswer]]:
        nonlocal taken
        for attempt, answer in other.table.kept.by_attempt(finished_only=True):
            if wants(answer.key):
                taken += 1
                yield attempt, answer

    for attempt, (created, settings) in other.table.kept.attempts().items():
        table.kept.know(attempt, created, settings)
    for part in _write_parts(storage, job, other.table, found()):
        for kept in part.attempts:
            table.kept.add(kept.attempt, kept.rows, packed=True)
    return taken


def _write_parts(
    storage: Storage, job: str, table: AnswerTable, answers: Iterable[tuple[str, RowAnswer]]
) -> Iterator[PoolPart]:
    """Write (attempt, answer) pairs, those of an attempt together, and yield each record once it has been read back."""
    writer = uuid4().hex[:12]
    for number, part in enumerate(_parts(table.kept.attempts(), answers)):
        key, value = pool_key(job, writer, number), part.model_dump(mode="json", exclude_defaults=True)
        storage.write(key, value)
        if storage.read(key) != value:
            raise OSError(f"the result storage returns something else than was written to {key}")
        yield part


def _not_worth_keeping(answers: Iterable[tuple[int, RowAnswer, int | None]]) -> Iterator[int]:
    """The places of answers that newer ones have made superfluous. Of a key they come together, the newest first."""
    for _, of_key in groupby(answers, key=lambda found: found[1].key):
        successes: Counter[str] = Counter()  # by id
        finished: Counter[str] = Counter()
        failed: set[str] = set()
        for place, answer, most in of_key:
            if answer.retryable:
                worth = not finished.total() and answer.id not in failed
                failed.add(answer.id)
            else:
                before = successes if answer.status == "success" else finished
                worth = most is None or before[answer.id] < most
                successes[answer.id] += worth and answer.status == "success"
                finished[answer.id] += worth
            if not worth:
                yield place


def _parts(
    attempts: Mapping[str, tuple[datetime, str]], answers: Iterable[tuple[str, RowAnswer]]
) -> Iterator[PoolPart]:
    """Cut into records of a size that is read and written in no time."""
    part: list[Kept] = []
    rows = size = 0
    for attempt, of_attempt in groupby(answers, key=lambda found: found[0]):
        part.append(_kept(attempt, *attempts[attempt]))
        for _, answer in of_attempt:
            part[-1].rows.append(answer)
            rows, size = rows + 1, size + chars(answer)
            if rows >= PART_ROWS or size >= PART_CHARS:
                yield PoolPart(attempts=part)
                part, rows, size = [_kept(attempt, *attempts[attempt])], 0, 0
    if rows:
        yield PoolPart(attempts=[kept for kept in part if kept.rows])


def _kept(attempt: str, created: datetime, settings: str) -> Kept:
    return Kept(attempt=attempt, created=None if created == OLDEST else created, settings=settings, rows=[])
