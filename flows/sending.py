"""Sends what a plan says through the flow's task runner and collects what arrives, whatever ends the run."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from prefect import get_run_logger, unmapped
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from flows.event_loop import EventLoopTaskRunner
from flows.interrupt import interruptible
from tasks.core.batch import Inference
from tasks.core.checkpoint import Damaged, unpack
from tasks.core.config import RunConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.home import adopt, from_thread, home
from tasks.core.records import RowResult
from tasks.core.report import Progress
from tasks.inference import infer_chunk, models_of, share, unshare
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
    runner = _running_task_runner()
    if isinstance(runner, EventLoopTaskRunner):
        runner.max_workers = chunks_at_once(config)
        adopt(runner.loop)
    with Progress(attempt.plan.rows, len(attempt.plan.reused), get_run_logger()) as progress:
        start_no_more = getattr(runner, "start_no_more", lambda: None)
        inference = from_thread(share(attempt.run, progress.add, start_no_more))
        try:
            with interruptible(lambda: _interrupt(inference)):
                futures = deque(infer_chunk.map(attempt.plan.chunks, run=unmapped(attempt.run)))
                while futures:
                    _collect(futures.popleft(), sent)
            sent.stopped = inference.throttle.stopped
            if sent.stopped and sent.stopped.reason is StopReason.REFUSED:
                sent.models = from_thread(models_of(attempt.run))
        finally:
            from_thread(unshare(attempt.run))
    return sent


def chunks_at_once(config: RunConfig) -> int:
    """Enough that the rows of other chunks fill every slot while one chunk waits for its slowest answer."""
    return math.ceil(2 * config.max_concurrent / config.save_every) + 1


def _collect(future: PrefectFuture[Any], sent: Sent) -> None:
    future.wait()
    state = future.state
    value = state.result(raise_on_failure=False)
    try:
        sent.results += unpack(value)
    except Damaged:  # an exception, or nothing: the chunk never started or failed
        if state.is_failed() or state.is_crashed():
            sent.failures.append(f"{state.name}: {state.message}")


def _interrupt(inference: Inference) -> None:
    home().call_soon_threadsafe(inference.stop, StopReason.INTERRUPTED, "interrupted")


def _running_task_runner() -> Any:
    context = FlowRunContext.get()
    assert context is not None
    return context.task_runner
