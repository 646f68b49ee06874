"""Old checkpoints, seen and removed: `python flows/checkpoints.py` lists them, `--prune` deletes.

Works on the result storage that runs use: Prefect's local one, or the block that
PREFECT_DEFAULT_RESULT_STORAGE_BLOCK names.
"""

import argparse
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tasks.core.checkpoint.layout import Manifest, Storage, jobs, lock_key
from tasks.core.checkpoint.lock import holder_of
from tasks.core.checkpoint.pool import latest_manifest, read_pool, summary_of
from tasks.core.errors import InputError
from tasks.storage import StorageError, default_storage, storage_of

_AGES = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the list shows it. `latest`: None where no manifest can be read."""

    key: str
    latest: Manifest | None
    rows: int
    open: int
    bytes: int

    @property
    def name(self) -> str:
        return self.latest.name if self.latest else "its records cannot be read"

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.latest.created if self.latest else timedelta.max


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        storage = storage_of(default_storage())
        found = [_look(storage, key) for key in jobs(storage)]
        if options.prune is None:
            _list(found)
        else:
            _prune(storage, [job for job in found if job.age >= options.prune and options.job in job.key])
    except InputError as error:
        print(error.line, file=sys.stderr)
        return 2
    except StorageError as error:
        print(f"the result storage cannot be used: {error}", file=sys.stderr)
        return 1
    return 0


def _look(storage: Storage, key: str) -> Job:
    latest, size = latest_manifest(storage, key), storage.size(key)
    if latest and (summary := summary_of(storage, key, latest.attempt)):
        return Job(key, latest, summary.rows, summary.open, size)
    results = list(read_pool(storage, key).results())
    samples = {(result.key, result.id): result.open for result in reversed(results)}
    return Job(key, latest, len(samples), sum(samples.values()), size)


def _prune(storage: Storage, found: list[Job]) -> None:
    for job in found:
        if (holder := holder_of(storage, lock_key(job.key))) and not holder.gone:
            print(f"kept {job.name}: {holder} is at work on it")
            continue
        storage.delete(storage.keys(job.key))
        print(f"removed {job.name}: {job.rows:,} rows, {_size(job.bytes)}")


def _list(found: list[Job]) -> None:
    if not found:
        print("No checkpoints.")
        return
    print(f"{'rows':>10} {'of':>10} {'open':>8} {'size':>10} {'age':>8}  job")
    for job in sorted(found, key=lambda job: job.age):
        whole = f"{job.latest.rows:,}" if job.latest else "?"
        age = _age(job.age) if job.latest else "?"
        print(f"{job.rows:>10,} {whole:>10} {job.open:>8,} {_size(job.bytes):>10} {age:>8}  {job.name}")
        print(f"{'':>51}  {job.key.split('/')[-1]}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def _age(age: timedelta) -> str:
    letter = next((name for name, unit in _AGES.items() if age >= unit), "m")
    return f"{age // _AGES[letter]}{letter}"


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([dhm])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age such as 30d, 12h or 0m")
    return int(match[1]) * _AGES[match[2]]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python flows/checkpoints.py", description="List or prune checkpoints.")
    parser.add_argument("--prune", metavar="AGE", type=_duration, help="Delete checkpoints this old: 30d, 12h, 0m.")
    parser.add_argument("--job", metavar="TEXT", default="", help="With --prune: only jobs whose key contains TEXT.")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
