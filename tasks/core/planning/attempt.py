"""One go at a job: what is on record of it, and what it is going to do. Plans nothing itself (next_attempt.py)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tasks.core.answering.run import Run
from tasks.core.checkpoint.attempts import close_attempt_record, open_attempt_record
from tasks.core.checkpoint.compaction import compact
from tasks.core.checkpoint.contents import Manifest
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.lock import JobLock
from tasks.core.checkpoint.pool import Pool
from tasks.core.checkpoint.table.repeats import Repeats
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.config.batch import BatchRun
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.spending import Spending
from tasks.core.planning.job_costs import JobCosts
from tasks.core.planning.resume import Plan


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a job, on record in the checkpoint, and what it is going to do."""

    run: Run
    plan: Plan
    storage: Storage
    pool: Pool
    costs: JobCosts
    whole: bool  # it is about all rows of the data

    @property
    def answers(self) -> RunRows:
        """Those that the run's rows have."""
        return self.pool.table.rows

    def sent_by(self, batch: BatchRun | None) -> "Attempt":
        """The same, sent as `batch` says it; None: online."""
        return replace(self, run=replace(self.run, batch=batch))

    def online(self, config: RunConfig) -> "Attempt":
        """The same, sent one by one although it was planned for batch jobs, as `config` has it."""
        limits = config.limits.model_copy(update={"allow_missing_images": self.run.limits.allow_missing_images})
        run = replace(self.run, generation=config.generation, limits=limits)
        return replace(self, run=run, plan=self.plan.cut_anew(config.save_every))

    @property
    def repeats(self) -> Repeats:
        """Those of the run's rows that wait for another's answer."""
        return self.pool.table.repeats

    def open(self, name: str, config: RunConfig) -> None:
        """Put it on record."""
        data = self.run.data
        found = config.with_files_read().model_copy(update={"dataset": data.dataset, "revision": data.revision})
        open_attempt_record(
            self.storage,
            Manifest(
                job=self.run.job,
                name=name,
                attempt=self.run.attempt,
                created=datetime.now(UTC),
                settings=self.run.generation.fingerprint,
                rows=data.rows,
                chunks=-(-self.plan.to_send // (config.rows_per_chunk if self.run.batch else config.save_every)),
                config=found.model_dump(mode="json", exclude_defaults=True),
            ),
        )

    def close(self, rows: int, retryable: int) -> None:
        """Note how it ended."""
        close_attempt_record(self.storage, self.run.job, self.run.attempt, rows, retryable)

    def spent(self) -> Spending:
        """What it has cost so far, by what is known of its answers."""
        return self.costs.of_attempt(self.storage, self.run.attempt, self.pool.table)

    def put_together(self, lock: JobLock, finished: bool, spent: Spending) -> None:
        """Keep the job's records few, as long as nobody else has it. `finished`: no row needs another request.

        What the attempt has `spent` is on record before answers go that say it.

        Raises:
            JobHeld: another run has the job now.
        """
        lock.confirm()
        if not self.costs.record(self.storage, spent, self.pool.table):
            return  # what the others took is on record once their jobs have ended, and known by these answers till then
        compact(self.storage, self.pool, self.whole)
        if finished and self.whole:  # then nothing is missing that they may have held
            self.storage.delete(self.pool.damaged)
