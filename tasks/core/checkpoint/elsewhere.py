"""Finds the answers of data that was moved or renamed: other jobs that were asked the same."""

from collections.abc import Collection, Iterator

from tasks.core.checkpoint.layout import Damaged, JobRecords, PoolPart, RecordKind, Storage, jobs, parsed, unpack
from tasks.core.checkpoint.pool import Pool, read_pool
from tasks.core.keys import slug


def pools_with(storage: Storage, job: str, model: str, keys: Collection[str]) -> Iterator[Pool]:
    """Pools of other jobs of `model` that hold an answer to one of `keys`, by a look at three records of each.

    Whoever takes an answer takes its key out of `keys`.
    """
    for other in jobs(storage):
        if not keys:
            return
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
