"""Finds the answers of data that was moved or renamed: other jobs that were asked the same."""

from collections.abc import Callable, Iterator

from tasks.core.checkpoint.contents import PoolPart, parsed, unpack
from tasks.core.checkpoint.layout import Damaged, JobRecords, RecordKind, Storage, jobs
from tasks.core.checkpoint.pool import Pool, read_pool
from tasks.core.keys import slug


def pools_with(storage: Storage, job: str, model: str, wants: Callable[[str], bool]) -> Iterator[Pool]:
    """Pools of other jobs of `model` that hold an answer that `wants` its key, by a look at some records of each."""
    for other in jobs(storage):
        if other == job or f"-{slug(model)}-" not in other:
            continue
        records = JobRecords.listed(storage, other)
        if any(wants(key) for probe in _probes(records) for key in _keys_in(storage, probe)):
            yield read_pool(storage, other)


def _probes(records: JobRecords) -> list[str]:
    """Of each attempt the first and the last record of answers, and all that were put together."""
    by_attempt: dict[str, list[str]] = {}
    for key in records.of(RecordKind.ANSWERS, RecordKind.CHUNK):
        by_attempt.setdefault(records.keys[key].attempt, []).append(key)
    ends = [key for keys in by_attempt.values() for key in sorted({keys[0], keys[-1]})]
    return ends + records.of(RecordKind.POOL)


def _keys_in(storage: Storage, record: str) -> list[str]:
    try:
        value = storage.read(record)
        if value is None:
            return []
        rows = unpack(value) if "rows" in value else [r for k in parsed(PoolPart, value).attempts for r in k.rows]
        return [result.key for result in rows]
    except (Damaged, TypeError):
        return []
