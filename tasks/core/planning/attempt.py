"""Opens an attempt: finds the answers that the job has already, and plans which rows must be sent."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from tasks.core.answering.run import Run
from tasks.core.checkpoint.attempts import close_attempt_record, open_attempt_record
from tasks.core.checkpoint.compaction import adopt, compact
from tasks.core.checkpoint.contents import Manifest
from tasks.core.checkpoint.elsewhere import pools_with
from tasks.core.checkpoint.layout import Storage, job_key
from tasks.core.checkpoint.lock import JobLock
from tasks.core.checkpoint.pool import Pool, read_pool
from tasks.core.checkpoint.table.repeats import Repeats
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.config.batch import BatchRun
from tasks.core.config.limits import LimitsConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.spending import Spending
from tasks.core.costs.worst import most_answer_tokens
from tasks.core.data.locate import locate
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.files.own_results import Origin
from tasks.core.keys import fingerprint
from tasks.core.planning.job_costs import JobCosts, price_for
from tasks.core.planning.prefix import prefix_of
from tasks.core.planning.resume import Plan, Reason, plan_as_read, plan_fresh, plan_line, plan_resume
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import Prompting

MOVED_SHARE = 0.1  # of the rows unknown: then the data may have been moved, and other jobs are worth a look
MANY_ROWS = 1000
type Logger = logging.Logger | logging.LoggerAdapter[Any]


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

    def by_batches(self, batch: BatchRun | None) -> "Attempt":
        """The same, sent as batch jobs where there is a word on them."""
        return replace(self, run=replace(self.run, batch=batch))

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
                chunks=-(-self.plan.to_send // config.rows_per_chunk),
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
        self.costs.record(self.storage, spent, self.pool.table)
        compact(self.storage, self.pool, self.whole)
        if finished and self.whole:  # then nothing is missing that they may have held
            self.storage.delete(self.pool.damaged)


def origin_of(config: RunConfig, data: DatasetRef) -> Origin:
    """The job that a run is about. What a demo makes up is no answer of the model: it has a job of its own."""
    model = _model(config)
    return Origin(
        job=job_key(data.dataset, data.dataset_config, data.split, model),
        name=f"{data.dataset} {data.split}, {model}",
        dataset=data.dataset,
        attempt="",
        settings=config.generation.fingerprint,
        template=fingerprint(config.template_text) if config.template_text else "",
    )


def job_of(config: RunConfig) -> str:
    """The same job, before its data are read.

    Raises:
        InputError: there is no such data set.
    """
    path = locate(config.dataset)
    return job_key(str(path) if path else config.dataset or "", config.dataset_config, config.split, _model(config))


def _model(config: RunConfig) -> str:
    return f"demo of {config.model}" if config.demo else config.model


def plan_attempt(
    config: RunConfig,
    data: DatasetRef,
    job: str,
    storage: Storage,
    run_id: str,
    logger: Logger,
    in_flight: Mapping[str, int] | None = None,
) -> Attempt:
    """What a flow run's next attempt will send, and one log line that says so.

    A re-run of the flow run `run_id` continues its own attempts; `config.resume` takes what any attempt has kept.
    `in_flight`: how many rows of a key are in batch jobs that have not ended.

    Raises:
        OSError: the storage cannot say what there is.
    """
    prompting = prompting_of(config, data)
    preparer = Preparer(config.generation, prompting.draft_of)
    pool = read_pool(storage, job)
    _tell_damage(pool, logger)
    own = pool.attempts_of(run_id)
    costs = JobCosts.read(storage, job, pool.table, price_for(config), most_answer_tokens(config.generation))
    _tell_no_price(config, costs, logger)
    if config.resume or pool.size:
        if data.columns.has_media and data.rows > MANY_ROWS:
            logger.info("Reading the media of %s rows to see what is answered already", f"{data.rows:,}")
        pool.table.matching.ask(sample_keys(data, preparer))
    if config.resume:
        plan = _plan_resume(config, pool, own, storage, logger, in_flight)
    elif own:
        plan = plan_resume(
            pool.table, config.rows_per_chunk, own, others=False, dedupe=config.dedupe, in_flight=in_flight
        )
        logger.info(plan_line(plan, _settings_changed(config, pool)))
    else:
        _tell_what_is_paid_again(pool, logger)
        plan = _plan_fresh(config, data, pool, preparer)
    limits, terms = _limits(config, pool.table.rows), costs.terms(config, own)
    prefix = prefix_of(config, data, job, prompting, plan.to_send, logger.info)
    attempt = pool.next_attempt(run_id)
    run = Run(job, attempt, data, config.generation, limits, prompting, config.dedupe, prefix, terms)
    return Attempt(run, plan, storage, pool, costs, whole=config.limit is None and config.where is None)


def prompting_of(config: RunConfig, data: DatasetRef) -> Prompting:
    """What is sent of each sample of `data`."""
    return Prompting.of(config, data.columns.text, data.columns.all_media)


def _limits(config: RunConfig, answers: RunRows) -> LimitsConfig:
    """Where the model has taken images before, some that are missing now are no reason to stop."""
    accepted = any(group.images for group in answers.groups())
    return config.limits.model_copy(update={"allow_missing_images": config.allow_missing_images or accepted})


def _plan_fresh(config: RunConfig, data: DatasetRef, pool: Pool, preparer: Preparer) -> Plan:
    """What takes long to read is read when its turn comes: which rows ask the same shows then, or was seen before."""
    if config.dedupe and pool.size:
        return plan_resume(pool.table, config.rows_per_chunk, others=False)
    if config.dedupe and not open_reader(data).waits:
        return plan_as_read(data.rows, config.rows_per_chunk, sample_keys(data, preparer), pool.table.repeats)
    return plan_fresh(data.rows, config.rows_per_chunk)


def _plan_resume(
    config: RunConfig, pool: Pool, own: list[str], storage: Storage, logger: Logger, in_flight: Mapping[str, int] | None
) -> Plan:
    def planned() -> Plan:
        return plan_resume(
            pool.table,
            config.rows_per_chunk,
            own,
            retry_kinds=config.retry_errors,
            dedupe=config.dedupe,
            in_flight=in_flight,
        )

    has_any = bool(pool.size)
    plan = planned()
    if plan.reasons[Reason.NEW] + plan.reasons[Reason.CHANGED] > MOVED_SHARE * plan.rows:
        for other in pools_with(storage, pool.job, config.model, pool.table.matching.wants):
            if not adopt(storage, pool.job, pool.table, other, pool.table.matching.wants):
                continue
            before, plan, has_any = plan.reused, planned(), True
            if gained := plan.reused - before:
                name = other.latest.name if other.latest else other.job
                logger.info("%s rows have their answers in the checkpoint of %s", f"{gained:,}", name)
    if has_any:
        logger.info(plan_line(plan, _settings_changed(config, pool)))
    else:
        logger.info("Nothing to resume: no checkpoint of this data set, split and model (%s)", config.model)
    return plan


def _tell_no_price(config: RunConfig, costs: JobCosts, logger: Logger) -> None:
    if costs.price is None and not config.demo:
        logger.info("%s: no price is known; tokens are counted, and --price makes them dollars", config.model)


def _tell_damage(pool: Pool, logger: Logger) -> None:
    if pool.damaged:
        logger.warning(
            "%d damaged records in the checkpoint; what they alone held is sent again (first: %s)",
            len(pool.damaged),
            pool.damaged[0],
        )


def _tell_what_is_paid_again(pool: Pool, logger: Logger) -> None:
    answered = pool.table.matching.match() if pool.size else 0
    pool.table.matching.unmatch()
    if answered:
        logger.warning(
            "%s of %s rows are answered already; --resume reuses them, this run pays for them again",
            f"{answered:,}",
            f"{pool.table.matching.asked:,}",
        )


def _settings_changed(config: RunConfig, pool: Pool) -> bool:
    return pool.newest_settings not in (None, config.generation.fingerprint)
