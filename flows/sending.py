"""Sends what a plan says through the flow's task runner and collects what arrives, whatever ends the run."""

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect import Task, get_run_logger, unmapped
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from flows.cluster import stop_chunks, task_runner_of
from flows.event_loop import EventLoopTaskRunner
from flows.interrupt import interruptible
from flows.local_server import is_local
from flows.progress import progress_artifact
from tasks.core.checkpoint import Damaged, unpack
from tasks.core.config import RunConfig, TaskRunnerKind
from tasks.core.errors import RunStopped, StopReason
from tasks.core.home import adopt, from_thread
from tasks.core.records import RowResult
from tasks.core.report import LimitLog, Progress
from tasks.inference import infer_chunk, models_of, share, stop_here, stopped_in, unshare
from tasks.planning import Attempt


@dataclass(slots=True)
class Sent:
    """What came of sending: results as they arrived, why the run was stopped, and chunks that failed."""

    results: list[RowResult] = field(default_factory=list)
    stopped: RunStopped | None = None
    failures: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)  # that the key may use, where the API refused the one asked for


def send(attempt: Attempt, config: RunConfig) -> Sent:
    """Map infer_chunk over the plan's chunks and collect what arrives, whatever ends the run."""
    sent = Sent()
    if not attempt.plan.chunks:
        return sent
    progress = Progress(attempt.plan.rows, len(attempt.plan.reused), get_run_logger())
    with (
        task_runner_of(config, chunks_at_once(config)) as runner,
        progress_artifact(lambda: progress.percent),
        progress,
    ):
        if config.task_runner is TaskRunnerKind.LOCAL:
            _send_from_here(attempt, config, runner, progress, sent)
        else:
            _send_from_cluster(attempt, runner, progress, sent)
    return sent


def chunks_at_once(config: RunConfig) -> int:
    """Enough that the rows of other chunks fill every slot while some wait for their slowest answers.

    Of 50 answers with lognormal latency (sigma 0.6) the slowest takes some 4 times the mean: as long, slots must be
    fed by the chunks behind. Twice that, for they begin one after the other, and the server may take its time.
    A chunk that waits for slots has sent nothing yet.
    """
    return math.ceil(8 * config.max_concurrent / config.save_every) + 2


def _send_from_here(attempt: Attempt, config: RunConfig, runner: Any, progress: Progress, sent: Sent) -> None:
    if isinstance(runner, EventLoopTaskRunner):
        runner.max_workers = chunks_at_once(config)
        adopt(runner.loop)
    start_no_more = getattr(runner, "start_no_more", lambda: None)
    limit_log = LimitLog(config.max_concurrent, get_run_logger())
    inference = from_thread(share(attempt.run, progress.add, start_no_more, limit_log))
    try:
        with interruptible(lambda: stop_here(attempt.run)):
            futures = deque(_chunk_task().map(attempt.plan.chunks, run=unmapped(attempt.run)))
            while futures:
                _collect(futures.popleft(), sent)
        sent.stopped = inference.throttle.stopped
        if sent.stopped and sent.stopped.reason is StopReason.REFUSED:
            sent.models = from_thread(models_of(attempt.run))
    finally:
        from_thread(unshare(attempt.run))


def _send_from_cluster(attempt: Attempt, runner: Any, progress: Progress, sent: Sent) -> None:
    """Other processes send. They keep what arrives; here is known what whole chunks have brought."""
    futures: deque[Any] = deque()  # the cluster's own futures
    never_started: set[UUID] = set()

    def stop() -> None:
        never_started.update(stop_chunks(runner, futures.copy(), attempt.run))

    def interrupt() -> None:  # a signal may come in the middle of a call into the cluster: no second one beside it
        sent.stopped = RunStopped(StopReason.INTERRUPTED, "interrupted")
        threading.Thread(target=stop, name="stop").start()

    with interruptible(interrupt):
        futures.extend(_chunk_task().map(attempt.plan.chunks, run=unmapped(attempt.run)))
        if sent.stopped:  # before there was anything to stop
            stop()
        while futures:
            if futures[0].task_run_id not in never_started:
                for result in _collect(futures[0], sent):
                    progress.add(result)
            futures.popleft()


def _chunk_task() -> Task[..., Any]:
    """The local server keeps no limit on a tag, so a chunk there must not wait for its word on one."""
    if not is_local():
        return infer_chunk
    untagged = infer_chunk.with_options()
    untagged.tags = set()
    return untagged


def _collect(future: PrefectFuture[Any], sent: Sent) -> list[RowResult]:
    future.wait()
    _forget_states()
    state = future.state
    value = state.result(raise_on_failure=False) if state.is_final() else None  # the cluster has lost it
    try:
        results = unpack(value)
    except Damaged:  # an exception, or nothing: the chunk never started or failed
        if state.is_failed() or state.is_crashed() or not state.is_final():
            sent.failures.append(f"{state.name}: {state.message}")
        return []
    sent.results += results
    if stop := stopped_in(value):
        sent.stopped = sent.stopped or stop
    return results


def _forget_states() -> None:
    """Prefect keeps the state of every task run, to draw what its result went into: 10 KB a chunk, and here nothing."""
    if context := FlowRunContext.get():
        context.run_results.clear()
