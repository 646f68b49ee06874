"""Old checkpoints, seen and removed: `python flows/checkpoints.py` lists them, `--prune` deletes.

Works on the result storage that runs use: Prefect's local one, or the block that
PREFECT_DEFAULT_RESULT_STORAGE_BLOCK names.
"""

import argparse
import re
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore

from tasks.core.checkpoint import Checkpoints, Manifest, registered, unregister
from tasks.core.errors import InputError
from tasks.core.escaping import visible
from tasks.storage import ResultStorage, default_storage

_AGES = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the list shows it. `bytes`: None where the storage cannot tell."""

    key: str
    latest: Manifest
    rows: int
    open: int
    bytes: int | None

    @property
    def age(self) -> timedelta:
        return datetime.now(UTC) - self.latest.created


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        filesystem = default_storage()
    except InputError as error:
        print(error.line, file=sys.stderr)
        return 2
    storage = ResultStorage(ResultStore(result_storage=filesystem, cache_result_in_memory=False))
    jobs = [job for key in registered(storage) if (job := _look(storage, filesystem, key))]
    if options.prune is None:
        _list(jobs)
        return 0
    for job in jobs:
        if job.age >= options.prune and options.job in job.key:
            _remove(filesystem, job.key)
            unregister(storage, job.key)
            print(f"removed {visible(job.latest.name)}: {job.rows:,} rows, {_size(job.bytes)}")
    return 0


def _look(storage: ResultStorage, filesystem: Any, key: str) -> Job | None:
    checkpoints = Checkpoints(storage, key)
    latest = checkpoints.latest()
    if latest is None:
        return None
    if summary := checkpoints.summary(latest.attempt):
        return Job(key, latest, summary.rows, summary.open, _bytes(filesystem, key))
    results = checkpoints.read(latest).results
    finished = {result.row: result.open for result in reversed(results)}
    return Job(key, latest, len(finished), sum(finished.values()), _bytes(filesystem, key))


def _list(jobs: list[Job]) -> None:
    if not jobs:
        print("No checkpoints.")
        return
    print(f"{'rows':>10} {'of':>10} {'open':>8} {'size':>10} {'age':>8}  job")
    for job in sorted(jobs, key=lambda job: job.age):
        rows, whole, age = f"{job.rows:,}", f"{job.latest.rows:,}", _age(job.age)
        print(f"{rows:>10} {whole:>10} {job.open:>8,} {_size(job.bytes):>10} {age:>8}  {visible(job.latest.name)}")
        print(f"{'':>51}  {job.key.split('/')[-1]}")


def _folder(filesystem: Any, key: str) -> Path | None:
    if not isinstance(filesystem, LocalFileSystem):
        return None
    return Path(filesystem.basepath or "").expanduser() / key


def _bytes(filesystem: Any, key: str) -> int | None:
    if folder := _folder(filesystem, key):
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    if hasattr(filesystem, "filesystem"):  # fsspec, as in RemoteFileSystem
        return int(filesystem.filesystem.du(filesystem._resolve_path(key)))
    return None


def _remove(filesystem: Any, key: str) -> None:
    if folder := _folder(filesystem, key):
        shutil.rmtree(folder)
    elif hasattr(filesystem, "filesystem"):
        filesystem.filesystem.rm(filesystem._resolve_path(key), recursive=True)
    else:
        kind = type(filesystem).__name__
        sys.exit(f"{kind} cannot delete; remove everything below {key} with the storage's own tools")


def _size(count: int | None) -> str:
    if count is None:
        return "?"
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
