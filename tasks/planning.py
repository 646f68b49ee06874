"""Opens an attempt: finds the checkpoint it continues, and plans which rows must be sent."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.core.checkpoint import AttemptRef, Checkpoints, Found, Manifest, job_key
from tasks.core.chunks import Plan, plan_fresh, plan_resume
from tasks.core.config import RunConfig
from tasks.core.report import plan_line
from tasks.core.sources import DatasetRef
from tasks.dataset import sample_keys
from tasks.inference import Run
from tasks.storage import ResultStorage

type Logger = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a job, on record in the checkpoint, and what it is going to do."""

    run: Run
    plan: Plan
    checkpoints: Checkpoints


@dataclass(frozen=True, slots=True)
class _Base:
    """The checkpoint that an attempt continues, with what it holds."""

    manifest: Manifest
    found: Found


def open_attempt(config: RunConfig, data: DatasetRef, storage: ResultStorage, run_id: str, logger: Logger) -> Attempt:
    """Plan a flow run's next attempt and put it on record; one log line says what will be sent and why.

    A re-run of the flow run `run_id` continues its own checkpoint; `config.resume` continues the job's latest.
    """
    job = job_key(
        data.dataset, data.dataset_config, data.split, f"demo of {config.model}" if config.demo else config.model
    )
    checkpoints = Checkpoints(storage, job)
    attempt, own = checkpoints.attempts_of(run_id)
    latest = checkpoints.latest()
    base = _base(checkpoints, own) or (_base(checkpoints, latest, or_before=True) if config.resume else None)
    if base is None:
        _announce_fresh(config, checkpoints, latest, logger)
        plan = plan_fresh(data.rows, config.save_every)
    else:
        plan = _plan(config, data, base, logger)
    manifest = _manifest(config, data, job, attempt, plan, base, latest)
    checkpoints.open(manifest)
    return Attempt(Run(job, attempt, data, config.generation, config.limits), plan, checkpoints)


def _base(checkpoints: Checkpoints, manifest: Manifest | None, or_before: bool = False) -> _Base | None:
    """The checkpoint of `manifest` if it holds an answer; else the newest before it that does, where asked for."""
    while manifest:
        found = checkpoints.read(manifest)
        if found.results or found.damaged:
            return _Base(manifest, found)
        manifest = checkpoints.manifest(manifest.previous) if or_before and manifest.previous else None
    return None


def _plan(config: RunConfig, data: DatasetRef, base: _Base, logger: Logger) -> Plan:
    if base.found.damaged:
        logger.warning(
            "%d damaged records in the checkpoint: their rows are sent again (first: %s)",
            len(base.found.damaged),
            base.found.damaged[0],
        )
    keys = sample_keys(data, config.generation)
    plan = plan_resume(keys, base.found.results, config.save_every, config.retry_errors)
    logger.info(plan_line(plan, base.manifest.settings != config.generation.fingerprint))
    return plan


def _announce_fresh(config: RunConfig, checkpoints: Checkpoints, latest: Manifest | None, logger: Logger) -> None:
    if config.resume:
        logger.info("Nothing to resume: no checkpoint of this data set, split and model (%s)", config.model)
    elif latest:
        rows, unfinished = _held(checkpoints, latest)
        if unfinished and rows:
            logger.warning(
                "An unfinished checkpoint holds %s of %s rows: --resume continues it; this run starts a new one",
                f"{rows:,}",
                f"{latest.rows:,}",
            )


def _held(checkpoints: Checkpoints, manifest: Manifest) -> tuple[int, bool]:
    """How many rows a checkpoint holds, and whether rows are missing or worth sending again."""
    summary = checkpoints.summary(manifest.attempt)
    if summary:
        return summary.rows, summary.rows < manifest.rows or summary.open > 0
    finished = {(r.id, r.key) for r in checkpoints.read(manifest).results if not r.open}
    return len(finished), True


def _manifest(
    config: RunConfig,
    data: DatasetRef,
    job: str,
    attempt: str,
    plan: Plan,
    base: _Base | None,
    latest: Manifest | None,
) -> Manifest:
    earlier: list[AttemptRef] = []
    if base:
        earlier = [
            *base.manifest.earlier,
            AttemptRef(attempt=base.manifest.attempt, chunks=base.manifest.chunks),
        ]
    return Manifest(
        job=job,
        name=f"{data.dataset} {data.split}, {config.model}",
        attempt=attempt,
        created=datetime.now(UTC),
        settings=config.generation.fingerprint,
        rows=data.rows,
        chunks=len(plan.chunks),
        earlier=[ref for ref in earlier if ref.chunks],
        previous=latest.attempt if latest and not base else base.manifest.previous if base else None,
    )
