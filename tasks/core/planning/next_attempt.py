"""Plans a job's next attempt: finds the answers that there are already, and which rows must be sent."""

import logging
from collections.abc import Mapping
from typing import Any

from tasks.core.answering.run import Run
from tasks.core.checkpoint.compaction import adopt
from tasks.core.checkpoint.elsewhere import pools_with
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.pool import Pool, read_pool
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.config.limits import LimitsConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.worst import most_answer_tokens
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.planning.attempt import Attempt
from tasks.core.planning.job_costs import JobCosts, price_for
from tasks.core.planning.prefix import prefix_of
from tasks.core.planning.resume import Plan, Reason, plan_as_read, plan_fresh, plan_line, plan_resume
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import Prompting

MOVED_SHARE = 0.1  # of the rows unknown: then the data may have been moved, and other jobs are worth a look
MANY_ROWS = 1000
type Logger = logging.Logger | logging.LoggerAdapter[Any]


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

    has_any = bool(pool.size or in_flight)
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
