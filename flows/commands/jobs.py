"""The jobs of a result storage: looked at, found, listed, removed. Sends nothing. See checkpoints.py."""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from flows.table import plain_lines
from tasks.core.checkpoint.attempts import latest_manifest, summary_of
from tasks.core.checkpoint.contents import Manifest
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.holder import holder_of
from tasks.core.checkpoint.layout import Storage, jobs, lock_key
from tasks.core.checkpoint.pool import read_pool
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.costs.spending import Spending, read_ledger, total
from tasks.core.errors import InputError
from tasks.core.planning.job_costs import JobCosts, price_for
from tasks.core.reporting.cost_words import cost_range
from tasks.core.text import UNIT_SECONDS, counted, visible


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the list shows it. `latest`: None where no manifest can be read."""

    key: str
    latest: Manifest | None
    rows: int
    retryable: int
    bytes: int
    spent: Spending

    @property
    def name(self) -> str:
        return visible(self.latest.name) if self.latest else "its records cannot be read"

    @property
    def age(self) -> timedelta | None:
        """None where no record says when it was last written to."""
        return datetime.now(UTC) - self.latest.created if self.latest else None


def look(storage: Storage, key: str) -> Job:
    latest, size, ledger = latest_manifest(storage, key), storage.size(key), read_ledger(storage, key)
    summary = summary_of(storage, key, latest.attempt) if latest else None
    if latest and summary and latest.attempt in ledger.attempts and not ledger.killed:
        return Job(key, latest, summary.rows, summary.open, size, total(ledger.ended))
    table = read_pool(storage, key).table
    config = RunConfig.model_validate(latest.config) if latest and latest.config else None
    spent = JobCosts.read(storage, key, table, price_for(config) if config else None).before
    rows, retryable = table.kept.distinct()
    return Job(key, latest, rows, retryable, size, total(spent))


class JobRun(NamedTuple):
    """The last run of a job: where its records lie, and what it was told."""

    key: str
    manifest: Manifest
    config: RunConfig


def the_job(storage: Storage, text: str, flag: str) -> JobRun:
    """The one job whose key or name has `text` in it, which `flag` has brought.

    Raises:
        InputError: there is no such job, or several, or it does not say what it was told.
    """
    manifests = {key: latest_manifest(storage, key) for key in jobs(storage)}
    found = {key: m for key, m in manifests.items() if text in key or (m and text in m.name)}
    if len(found) != 1:
        names = ", ".join(key.split("/")[-1] for key in found or manifests) or "none"
        raise InputError(f"{flag} {text}: {len(found)} jobs match; jobs: {names}")
    [(key, manifest)] = found.items()
    if manifest is None or not manifest.config:
        raise InputError(
            f"{flag} {text}: its checkpoint does not say what data it is of (written by 0.1?); "
            f"{command(Program.RUN)} with --resume writes it, and sends what is missing"
        )
    return JobRun(key, manifest, RunConfig.model_validate(manifest.config))


def newest(storage: Storage) -> str:
    """The key of the job that ran last. Raises InputError where there is none."""
    found = [manifest for key in jobs(storage) if (manifest := latest_manifest(storage, key))]
    if not found:
        raise InputError("there is no checkpoint yet")
    return max(found, key=lambda manifest: manifest.created).job


def prune(storage: Storage, found: list[Job], least: timedelta, named: bool) -> None:
    """Remove what is `least` old; what has no age only where it is `named` and any age will do."""
    for job in found:
        if job.age is None and not (named and not least):
            name = job.key.split("/")[-1]
            print(f"kept {name}: its age cannot be read; --prune 0m --job {name} removes it all the same")
        elif (holder := holder_of(storage, lock_key(job.key))) and not holder.gone:
            print(f"kept {job.name}: {holder} is at work on it")
        elif GroupRecords(storage, job.key).in_flight():
            print(
                f"kept {job.name}: batch jobs of it have not ended; {command(Program.BATCHES)} lists and cancels them"
            )
        elif job.age is None or job.age >= least:
            storage.delete(storage.keys(job.key))
            print(f"removed {job.name}: {counted(job.rows, 'row')}, {_size(job.bytes)}")


def show(found: list[Job]) -> None:
    """A table where stdout is a terminal, one line a job with columns beneath each other elsewhere."""
    if not found:
        print("No checkpoints.")
        return
    rows = [_cells(job) for job in sorted(found, key=lambda job: job.age or timedelta.max)]
    if sys.stdout.isatty():
        _show_table(rows)
        return
    for line in plain_lines(COLUMNS, rows, _SIDES):
        print(line)


COLUMNS = ("data set, split and model", "rows", "of", "open", "cost", "age", "size", "tokens", "job")
_SIDES = "<>>>>>>><"


def _cells(job: Job) -> tuple[str, ...]:
    whole = f"{job.latest.rows:,}" if job.latest else "?"
    age = _age(job.age) if job.age is not None else "?"
    tokens = f"{job.spent.prompt_tokens + job.spent.answer_tokens:,}"
    counts = (f"{job.rows:,}", whole, f"{job.retryable:,}", cost_range(job.spent), age, _size(job.bytes), tokens)
    return (job.name, *counts, job.key.split("/")[-1])


def _show_table(rows: list[tuple[str, ...]]) -> None:
    """What is looked for most; the name that flags take stands below each job's, and the whole of it in a pipe."""
    from rich.console import Console  # for a terminal alone
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 1, 0), header_style="bold")
    table.add_column(COLUMNS[0], overflow="fold")
    for name in COLUMNS[1:6]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text.assemble(row[0], "\n", (row[-1], "dim")), *row[1:6])
    Console().print(table)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def _age(age: timedelta) -> str:
    seconds = age.total_seconds()
    letter = next((name for name, unit in UNIT_SECONDS.items() if seconds >= unit), "m")
    return f"{int(seconds // UNIT_SECONDS[letter])}{letter}"
