"""What is kept of a run so that the next one pays for nothing twice: keys, and records behind a small Storage.

    <job>/latest-0, latest-1        which attempt came last; written in turn, so that one is always whole
    <job>/<attempt>/manifest        what the attempt set out to do, and the attempts it continues
    <job>/<attempt>/<chunk>         results of a finished chunk
    <job>/<attempt>/<chunk>-partial results of a chunk under way, or one that was stopped
    <job>/<attempt>/summary         how the attempt ended

A *job* is what fills one CSV: data set, configuration, split, model. An *attempt* is one go at it: a run, or a
re-run of the same flow run. Every record is written by one attempt alone, except the two pointers, and nothing
ever has to list a folder. The version is part of every key: a new layout never reads an old one.
"""

import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError

from tasks.core.config import GenerateConfig
from tasks.core.records import RowResult

ROOT = "gemini-infer/v1"
JOBS = f"{ROOT}/jobs"  # the keys of all jobs, for `flows/checkpoints.py`; a job missing here still resumes
READERS = 16
_ROWS = TypeAdapter(list[RowResult])


class Damaged(Exception):
    """A record is there and cannot be read."""


class Storage(Protocol):
    """Where records live. Values are plain JSON."""

    def read(self, key: str) -> Any | None:
        """None when there is no such record. Raises Damaged, or OSError when the storage cannot say."""

    def write(self, key: str, value: Any) -> None:
        """Write it whole or raise."""


class AttemptRef(BaseModel):
    """An attempt that is part of a checkpoint, and how many chunks it planned."""

    attempt: str
    chunks: int


class Manifest(BaseModel):
    """What one attempt set out to do. `earlier`: the attempts whose results it builds on, oldest first.

    `previous`: the checkpoint that was left behind when this one was opened.
    """

    job: str
    name: str
    attempt: str
    created: datetime
    settings: str
    rows: int
    chunks: int
    earlier: list[AttemptRef] = []
    previous: str | None = None


class Summary(BaseModel):
    """How an attempt ended: rows with a result, and those of them that are worth sending again."""

    rows: int
    open: int
    finished: datetime


class Pointer(BaseModel):
    sequence: int
    attempt: str


def sample_key(generation: GenerateConfig, text: str, image: bytes | str | None) -> str:
    """A hash of all that shapes the answer. `image`: its bytes, or why there are none although a cell names one."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (generation.fingerprint.encode(), text.encode("utf-8", "surrogatepass"), _image_bytes(image)):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()


def _image_bytes(image: bytes | str | None) -> bytes:
    if image is None:
        return b""
    return b"bytes:" + image if isinstance(image, bytes) else b"note:" + image.encode()


def job_key(dataset: str, dataset_config: str | None, split: str, model: str) -> str:
    """A readable key, unique by its digest."""
    identity = "\0".join((dataset, dataset_config or "", split, model))
    digest = hashlib.blake2b(identity.encode(), digest_size=6).hexdigest()
    slug = "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.")[-40:] for part in (dataset, split, model))
    return f"{ROOT}/{slug}-{digest}"


def chunk_key(job: str, attempt: str, number: int, *, partial: bool = False) -> str:
    return f"{job}/{attempt}/{number:06d}{'-partial' if partial else ''}"


def pack(results: Iterable[RowResult]) -> dict[str, Any]:
    """Results as they are stored: plain JSON, defaults left out."""
    return {"rows": [result.model_dump(mode="json", exclude_defaults=True) for result in results]}


def unpack(value: Any) -> list[RowResult]:
    """Raises Damaged when `value` is not what `pack` makes."""
    try:
        return _ROWS.validate_python(value["rows"])
    except (ValidationError, TypeError, KeyError) as error:
        raise Damaged(str(error)) from None


@dataclass(slots=True)
class Found:
    """What a checkpoint holds: results, the newest attempt first; and the records that could not be read."""

    results: list[RowResult] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of one job."""

    def __init__(self, storage: Storage, job: str) -> None:
        self._storage = storage
        self.job = job

    def latest(self) -> Manifest | None:
        """The attempt that came last; the one before it where that one's record is not whole."""
        for pointer in sorted(self._pointers(), key=lambda p: -p.sequence):
            if manifest := self.manifest(pointer.attempt):
                return manifest
        return None

    def manifest(self, attempt: str) -> Manifest | None:
        return self._record(Manifest, f"{self.job}/{attempt}/manifest")

    def summary(self, attempt: str) -> Summary | None:
        return self._record(Summary, f"{self.job}/{attempt}/summary")

    def attempts_of(self, run_id: str) -> tuple[str, Manifest | None]:
        """The next attempt of a flow run, and the last one it made before."""
        last = None
        for number in count(1):
            attempt = f"{run_id}-{number}"
            if manifest := self.manifest(attempt):
                last = manifest
            elif not self._exists(f"{self.job}/{attempt}/manifest"):
                return attempt, last
        raise AssertionError

    def open(self, manifest: Manifest) -> None:
        """Put the attempt on record, then point at it: what is pointed at is always whole."""
        self._storage.write(f"{self.job}/{manifest.attempt}/manifest", manifest.model_dump(mode="json"))
        sequence = max((pointer.sequence for pointer in self._pointers()), default=0) + 1
        pointer = Pointer(sequence=sequence, attempt=manifest.attempt)
        self._storage.write(f"{self.job}/latest-{sequence % 2}", pointer.model_dump())
        register(self._storage, self.job)

    def close(self, attempt: str, rows: int, open_rows: int) -> None:
        """Note how an attempt ended."""
        summary = Summary(rows=rows, open=open_rows, finished=datetime.now(UTC))
        self._storage.write(f"{self.job}/{attempt}/summary", summary.model_dump(mode="json"))

    def read(self, manifest: Manifest) -> Found:
        """Everything that the attempts of a checkpoint have saved."""
        refs = [AttemptRef(attempt=manifest.attempt, chunks=manifest.chunks), *reversed(manifest.earlier)]
        numbered = [(ref.attempt, number) for ref in refs for number in range(ref.chunks)]
        found = Found()
        with ThreadPoolExecutor(READERS) as readers:
            for results, damaged in readers.map(lambda place: self._read_chunk(*place), numbered):
                found.results += results
                found.damaged += damaged
        return found

    def _read_chunk(self, attempt: str, number: int) -> tuple[list[RowResult], list[str]]:
        """A chunk's results, whole or partial, and the keys of records that are damaged."""
        damaged: list[str] = []
        for partial in (False, True):
            key = chunk_key(self.job, attempt, number, partial=partial)
            try:
                value = self._storage.read(key)
                if value is not None:
                    return unpack(value), damaged
            except Damaged:
                damaged.append(key)
        return [], damaged

    def _pointers(self) -> list[Pointer]:
        found = (self._record(Pointer, f"{self.job}/latest-{slot}") for slot in (0, 1))
        return [pointer for pointer in found if pointer]

    def _exists(self, key: str) -> bool:
        """Whether there is a record, damaged or not."""
        try:
            return self._storage.read(key) is not None
        except Damaged:
            return True

    def _record[M: BaseModel](self, model: type[M], key: str) -> M | None:
        with suppress(Damaged, ValidationError):
            value = self._storage.read(key)
            return None if value is None else model.model_validate(value)
        return None


def registered(storage: Storage) -> list[str]:
    """The keys of all jobs that have a checkpoint."""
    with suppress(Damaged):
        return list(storage.read(JOBS) or [])
    return []


def register(storage: Storage, job: str) -> None:
    jobs = registered(storage)
    if job not in jobs:
        storage.write(JOBS, [*jobs, job])


def unregister(storage: Storage, job: str) -> None:
    storage.write(JOBS, [key for key in registered(storage) if key != job])
