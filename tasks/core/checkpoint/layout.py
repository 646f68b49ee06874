"""The records of a checkpoint: where they lie, and what they lie in. Reads and writes nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from tasks.core.keys import job_name

ROOT = "gemini-infer/v1"
POOL, LOCK, BATCH, COSTS = "pool", "lock", "batch", "costs"


class Damaged(Exception):
    """A record is there and cannot be read."""


class StorageError(OSError):
    """The result storage cannot be read or written; the message says which and why."""


class Storage(Protocol):
    """Where records live. Values are plain JSON. Thread-safe.

    `gather_seconds`: how long answers may wait for others before they are written together.
    `settle_seconds`: how long two writers may be apart and still count as writing at once.
    """

    gather_seconds: float
    settle_seconds: float

    def read(self, key: str) -> Any | None:
        """None when there is no such record. Raises Damaged, or OSError when the storage cannot say."""

    def write(self, key: str, value: Any) -> None:
        """Write it whole or raise OSError."""

    def keys(self, prefix: str) -> list[str]:
        """The keys of all records below `prefix`, sorted. Raises OSError when the storage cannot say."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove these records, as far as they are there. Raises OSError."""

    def size(self, prefix: str) -> int:
        """Bytes of all records below `prefix`. Raises OSError."""


class RecordKind(Enum):
    MANIFEST = auto()
    SUMMARY = auto()
    ANSWERS = auto()
    CHUNK = auto()
    POOL = auto()
    OTHER = auto()


class Place(NamedTuple):
    """What the key of a record says. `writer` of ANSWERS; `number` of ANSWERS and CHUNK."""

    kind: RecordKind
    attempt: str = ""
    writer: str = ""
    number: int = 0


_PLACES = (
    (RecordKind.POOL, re.compile(rf"{POOL}/[^/]+")),
    (RecordKind.MANIFEST, re.compile(r"(?P<attempt>[^/]+)/manifest")),
    (RecordKind.SUMMARY, re.compile(r"(?P<attempt>[^/]+)/summary")),
    (RecordKind.ANSWERS, re.compile(r"(?P<attempt>[^/]+)/answers-(?P<writer>\w+)-(?P<number>\d{1,12})")),
    (RecordKind.CHUNK, re.compile(r"(?P<attempt>[^/]+)/(?P<number>\d{1,12})(-partial)?")),
)


def place_of(job: str, key: str) -> Place:
    """Which record of `job` lies at `key`."""
    for kind, pattern in _PLACES:
        if match := pattern.fullmatch(key.removeprefix(f"{job}/")):
            found = match.groupdict()
            return Place(kind, found.get("attempt") or "", found.get("writer") or "", int(found.get("number") or 0))
    return Place(RecordKind.OTHER)


def job_key(dataset: str, dataset_config: str | None, split: str, model: str) -> str:
    """Where the records of a job lie."""
    return f"{ROOT}/{job_name(dataset, dataset_config, split, model)}"


def manifest_key(job: str, attempt: str) -> str:
    return f"{job}/{attempt}/manifest"


def summary_key(job: str, attempt: str) -> str:
    return f"{job}/{attempt}/summary"


def answers_key(job: str, attempt: str, writer: str, number: int) -> str:
    return f"{job}/{attempt}/answers-{writer}-{number:06d}"


def chunk_key(job: str, attempt: str, number: int) -> str:
    return f"{job}/{attempt}/{number:06d}"


def pool_key(job: str, writer: str, number: int) -> str:
    return f"{job}/{POOL}/{writer}-{number:06d}"


def purse_key(job: str, attempt: str, writer: str, number: int) -> str:
    return f"{job}/{COSTS}/{attempt}.{writer}-{number:06d}"


def grant_key(job: str, attempt: str, writer: str, number: int) -> str:
    return f"{job}/{COSTS}/{attempt}~{writer}-{number:06d}"


def ended_key(job: str, writer: str) -> str:
    return f"{job}/{COSTS}/ended-{writer}"


def lock_key(job: str) -> str:
    return f"{job}/{LOCK}"


@dataclass(frozen=True, slots=True)
class JobRecords:
    """The keys of a job's records, by what they are."""

    job: str
    keys: dict[str, Place]

    @classmethod
    def listed(cls, storage: Storage, job: str) -> "JobRecords":
        return cls(job, {key: place_of(job, key) for key in storage.keys(job)})

    def of(self, *kinds: RecordKind) -> list[str]:
        return [key for key, place in self.keys.items() if place.kind in kinds]


def jobs(storage: Storage) -> list[str]:
    """The keys of all jobs that have a record."""
    depth = ROOT.count("/") + 1
    parts = (key.split("/") for key in storage.keys(ROOT))
    return sorted({"/".join(part[: depth + 1]) for part in parts if len(part) > depth + 1})
