"""Opens an attempt: finds the answers that the job has already, and plans which rows must be sent."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.core.checkpoint.layout import Manifest, Storage, answers_key, job_key, pack
from tasks.core.checkpoint.pool import (
    Pool,
    adopt,
    close_attempt_record,
    compact,
    open_attempt_record,
    pools_with,
    read_pool,
)
from tasks.core.chunks import Plan, Reason, plan_fresh, plan_resume
from tasks.core.config import LimitsConfig, RunConfig
from tasks.core.output.ours import Origin
from tasks.core.records import RowResult
from tasks.core.report import plan_line
from tasks.core.sources import DatasetRef
from tasks.dataset import sample_keys
from tasks.inference import Run

type Logger = logging.Logger | logging.LoggerAdapter[Any]
type Samples = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a job, on record in the checkpoint, and what it is going to do."""

    run: Run
    plan: Plan
    storage: Storage
    pool: Pool
    samples: Samples

    def open(self, name: str, config: RunConfig) -> None:
        """Put it on record."""
        data = self.run.data
        found = config.model_copy(update={"dataset": data.dataset, "revision": data.revision})
        open_attempt_record(
            self.storage,
            Manifest(
                job=self.run.job,
                name=name,
                attempt=self.run.attempt,
                created=datetime.now(UTC),
                settings=self.run.generation.fingerprint,
                rows=data.rows,
                chunks=len(self.plan.chunks),
                config=found.model_dump(mode="json", exclude_defaults=True),
            ),
        )

    def save_late(self, results: list[RowResult]) -> None:
        """Answers that could not be saved as they came."""
        self.storage.write(answers_key(self.run.job, self.run.attempt, "late", 0), pack(results))

    def close(self, rows: int, open_rows: int) -> None:
        """Note how it ended, and put earlier records together where there are many."""
        close_attempt_record(self.storage, self.run.job, self.run.attempt, rows, open_rows)
        compact(self.storage, self.pool, Counter(self.samples))


def origin_of(config: RunConfig, data: DatasetRef) -> Origin:
    """The job that a run is about. What a demo makes up is no answer of the model: it has a job of its own."""
    model = f"demo of {config.model}" if config.demo else config.model
    job = job_key(data.dataset, data.dataset_config, data.split, model)
    return Origin(job=job, name=f"{data.dataset} {data.split}, {model}", dataset=data.dataset, attempt="")


def plan_attempt(
    config: RunConfig, data: DatasetRef, job: str, storage: Storage, run_id: str, logger: Logger
) -> Attempt:
    """What a flow run's next attempt will send, and one log line that says so.

    A re-run of the flow run `run_id` continues its own attempts; `config.resume` takes what any attempt has kept.

    Raises:
        OSError: the storage cannot say what there is.
    """
    pool = read_pool(storage, job)
    _tell_damage(pool, logger)
    own = list(pool.results(pool.attempts_of(run_id)))
    samples = list(sample_keys(data, config.generation)) if config.resume or pool.size else []
    if config.resume:
        plan = _plan_resume(config, samples, pool, storage, logger)
    elif own:
        plan = plan_resume(samples, own, config.save_every, config.retry_errors)
        logger.info(plan_line(plan, _settings_changed(config, pool)))
    else:
        _tell_what_is_paid_again(samples, pool, logger)
        plan = plan_fresh(data.rows, config.save_every)
    run = Run(job, pool.next_attempt(run_id), data, config.generation, _limits(config, plan))
    return Attempt(run, plan, storage, pool, samples)


def _limits(config: RunConfig, plan: Plan) -> LimitsConfig:
    """Where the model has taken images before, some that are missing now are no reason to stop."""
    accepted = any(result.has_image for result in plan.reused.values())
    return config.limits.model_copy(update={"allow_missing_images": config.allow_missing_images or accepted})


def _plan_resume(config: RunConfig, samples: Samples, pool: Pool, storage: Storage, logger: Logger) -> Plan:
    def planned(results: list[RowResult]) -> Plan:
        return plan_resume(samples, results, config.save_every, config.retry_errors)

    results = list(pool.results())
    plan = planned(results)
    if plan.reasons[Reason.NEW] or plan.reasons[Reason.CHANGED]:
        for name, found in _found_elsewhere(config, samples, plan, pool.job, storage):
            results += found
            before, plan = len(plan.reused), planned(results)
            logger.info("%s rows have their answers in the checkpoint of %s", f"{len(plan.reused) - before:,}", name)
    if results:
        logger.info(plan_line(plan, _settings_changed(config, pool)))
    else:
        logger.info("Nothing to resume: no checkpoint of this data set, split and model (%s)", config.model)
    return plan


def _found_elsewhere(
    config: RunConfig, samples: Samples, plan: Plan, job: str, storage: Storage
) -> list[tuple[str, list[RowResult]]]:
    """Answers that other jobs hold for rows without one: the data was moved or renamed. (name of the job, answers)."""
    wanted = {key for row, (key, _) in enumerate(samples) if row not in plan.reused}
    elsewhere = []
    for other in pools_with(storage, job, config.model, wanted):
        if found := adopt(storage, job, other, wanted):
            elsewhere.append((other.latest.name if other.latest else other.job, found))
    return elsewhere


def _tell_damage(pool: Pool, logger: Logger) -> None:
    if pool.damaged:
        logger.warning(
            "%d damaged records in the checkpoint; what they alone held is sent again (first: %s)",
            len(pool.damaged),
            pool.damaged[0],
        )


def _tell_what_is_paid_again(samples: Samples, pool: Pool, logger: Logger) -> None:
    answered = len(plan_resume(samples, pool.results(), 1).reused) if pool.size else 0
    if answered:
        logger.warning(
            "%s of %s rows are answered already; --resume reuses them, this run pays for them again",
            f"{answered:,}",
            f"{len(samples):,}",
        )


def _settings_changed(config: RunConfig, pool: Pool) -> bool:
    newest = next(iter(pool.newest_first()), None)
    return newest is not None and newest.settings != config.generation.fingerprint
