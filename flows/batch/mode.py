"""How the rows of a run are sent: as `--mode` says it; for `auto` it is chosen before the first request, and told."""

import time
from collections.abc import Callable

from prefect import get_run_logger

from flows.batch.at_work import batch_run
from flows.endings.way_on import as_asked
from flows.preflight import why_no_batches
from tasks.answer_chunk import process
from tasks.batches import lists_batches
from tasks.core.checkpoint.lock import JobLock
from tasks.core.config.batch import Mode
from tasks.core.config.limits import ServiceTier
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.estimate import Estimate, Range
from tasks.core.costs.prices import Price
from tasks.core.costs.ways import UNASKED_SECONDS, Choice, Situation, Way, choose, durations
from tasks.core.environment.credentials import uses_vertex
from tasks.core.environment.endpoint import base_url, is_googles
from tasks.core.environment.proxies import without_password
from tasks.core.planning.attempt import Attempt

_NO_TOKENS = Range(0.0, 0.0)


def by_mode(config: RunConfig, attempt: Attempt, lock: JobLock) -> Attempt:
    """`attempt`, with a word on how its rows are sent."""
    batch, rows = batch_run(config, attempt.storage, attempt.run.job, lock), attempt.plan.to_send
    if config.mode is not Mode.AUTO or not rows or batch is None:
        return attempt.sent_by(batch)
    left = UNASKED_SECONDS if batch.deadline is None else batch.deadline - time.time()
    latency = attempt.pool.table.answer_sizes().seconds
    process.requests.loop()

    def lists() -> bool:
        return process.requests.run_from_thread(lists_batches(config.generation))

    choice = choice_of(config, Estimate(rows, _NO_TOKENS, _NO_TOKENS), latency, attempt.costs.price, left, lists)
    get_run_logger().info(as_asked(choice.line))
    if choice.way is Way.BATCH:
        return attempt.sent_by(batch)
    tier = ServiceTier.FLEX if choice.way is Way.FLEX else config.service_tier
    return attempt.online(config.model_copy(update={"service_tier": tier}))


def choice_of(
    config: RunConfig,
    estimate: Estimate,
    latency_seconds: float | None,
    price: Price | None,
    left: float,
    lists: Callable[[], bool],
) -> Choice:
    """What `auto` takes. `left`: seconds until the deadline. `lists`: asks whether the endpoint has batch jobs."""
    if config.demo:
        return Choice(Way.ONLINE, "a demo costs nothing")
    no_batch, no_flex = why_no_batches(config), ""
    if uses_vertex():
        no_flex = "serviceTier is the Gemini Developer API's"
    elif price and not is_googles(base_url()):
        shown = without_password(base_url())
        no_flex = f"{shown} may not know it"
        no_batch = no_batch or ("" if lists() else f"{shown} has no batch jobs")
    seconds = durations(estimate, config.limits, latency_seconds, config.service_tier)
    return choose(Situation(price, seconds, config.service_tier, no_batch, no_flex, config.deadline, left))
