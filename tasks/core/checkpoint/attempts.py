"""What is on record of one attempt: what it set out to do, and how it ended."""

from datetime import UTC, datetime

from pydantic import BaseModel

from tasks.core.checkpoint.contents import Manifest, Summary, parsed
from tasks.core.checkpoint.layout import Damaged, JobRecords, RecordKind, Storage, manifest_key, summary_key


def open_attempt_record(storage: Storage, manifest: Manifest) -> None:
    storage.write(manifest_key(manifest.job, manifest.attempt), manifest.model_dump(mode="json"))


def close_attempt_record(storage: Storage, job: str, attempt: str, rows: int, retryable: int) -> None:
    """Note how an attempt ended."""
    summary = Summary(rows=rows, open=retryable, finished=datetime.now(UTC))
    storage.write(summary_key(job, attempt), summary.model_dump(mode="json"))


def manifest_of(storage: Storage, job: str, attempt: str) -> Manifest | None:
    return _record(storage, Manifest, manifest_key(job, attempt))


def summary_of(storage: Storage, job: str, attempt: str) -> Summary | None:
    return _record(storage, Summary, summary_key(job, attempt))


def latest_manifest(storage: Storage, job: str) -> Manifest | None:
    """That of the attempt which came last, of those that can be read."""
    keys = JobRecords.listed(storage, job).of(RecordKind.MANIFEST)
    manifests = [manifest for key in keys if (manifest := _record(storage, Manifest, key))]
    return max(manifests, key=lambda manifest: manifest.created, default=None)


def _record[M: BaseModel](storage: Storage, model: type[M], key: str) -> M | None:
    """One record; None where it is not there or cannot be read."""
    try:
        value = storage.read(key)
        return None if value is None else parsed(model, value)
    except Damaged:
        return None
