"""Sends what a plan says through the flow's task runner and collects what arrives, whatever ends the run."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from uuid import UUID

from prefect import State, Task, get_run_logger, unmapped
from prefect.futures import PrefectFuture

from flows.local_server import is_local
from flows.progress import progress_artifact
from flows.runners.cluster import stop_chunks, task_runner_of
from flows.runners.event_loop import EventLoopTaskRunner
from flows.runners.interrupt import interruptible
from tasks.answer_chunk import Shared, answer_chunk, models_of, share, stop_here, stopped_in, unshare
from tasks.core.answering.request_loop import adopt, from_thread
from tasks.core.checkpoint.layout import StorageError, unpack
from tasks.core.checkpoint.lock import Holder, JobLock
from tasks.core.config.parameters import RunConfig, TaskRunnerKind
from tasks.core.errors import RunStopped, StopReason
from tasks.core.planning.attempt import Attempt
from tasks.core.planning.run import Run
from tasks.core.records import Chunk, RowAnswer
from tasks.core.reporting.progress import LimitLog, OutageLog, Progress
from tasks.core.reporting.summary import stopping_line
from tasks.prefect_internals import ResultRecord, forget_task_run_states

CHUNKS_AHEAD = 1000  # that a cluster is given at once


@dataclass(slots=True)
class Sent:
    """What came of sending: why the run was stopped, and chunks that failed. The answers are in the attempt's table.

    `unsaved`: those results that could not be saved yet.
    """

    stopped: RunStopped | None = None
    failures: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)  # that the key may use, where the API refused the one asked for
    unsaved: list[RowAnswer] = field(default_factory=list)
    not_persisted: int = 0  # chunks whose result Prefect could not write; their answers are in the journal


def send(attempt: Attempt, config: RunConfig, lock: JobLock) -> Sent:
    """Map answer_chunk over the plan's chunks and collect what arrives, whatever ends the run."""
    sent = Sent()
    if not attempt.plan.chunks:
        return sent
    progress = Progress(attempt.plan.rows, attempt.plan.reused, config.model, get_run_logger())
    with (
        task_runner_of(config, chunks_at_once(config)) as runner,
        progress_artifact(lambda: progress.percent),
        progress,
    ):
        if config.task_runner is TaskRunnerKind.LOCAL:
            _send_from_here(attempt, config, runner, progress, sent, lock)
        else:
            _send_from_cluster(attempt, runner, progress, sent, lock)
    if sent.not_persisted:
        get_run_logger().warning(
            "Prefect could not persist the results of %d chunks; the checkpoint's own records count", sent.not_persisted
        )
    return sent


def chunks_at_once(config: RunConfig) -> int:
    """Enough that the rows of other chunks fill every slot while some wait for their slowest answers.

    Of 50 answers with lognormal latency (sigma 0.6) the slowest takes some 4 times the mean: as long, slots must be
    fed by the chunks behind. Twice that, for they begin one after the other, and the server may take its time.
    A chunk that waits for slots has sent nothing yet.
    """
    return math.ceil(8 * config.max_concurrent / config.save_every) + 2


def _send_from_here(
    attempt: Attempt, config: RunConfig, runner: Any, progress: Progress, sent: Sent, lock: JobLock
) -> None:
    """This process sends, and hears of each row as it is answered: no result depends on what Prefect makes of it."""
    if isinstance(runner, EventLoopTaskRunner):
        runner.max_workers = chunks_at_once(config)
        adopt(runner.loop)

    arrived: deque[RowAnswer] = deque()  # filled on the loop of the requests

    def done(result: RowAnswer) -> None:
        arrived.append(result)
        progress.add(result)

    shared = from_thread(share(attempt.run, attempt.storage, done))
    _watch(shared, config, getattr(runner, "stop_starting", lambda: None))
    lock.lost = lambda holder: stop_here(attempt.run, StopReason.TAKEN_OVER, _taken_over(holder))
    try:
        with interruptible(lambda: stop_here(attempt.run)):
            throttle, ahead = shared.inference.throttle, 2 * chunks_at_once(config)
            for future in _mapped(attempt.plan.chunks, attempt.run, deque(), ahead, lambda: throttle.stopped):
                _ended(future, sent)
                _take(attempt, [arrived.popleft() for _ in range(len(arrived))], sent)
        sent.stopped = shared.inference.throttle.stopped
        if sent.stopped and sent.stopped.reason is StopReason.REFUSED_MODEL:
            sent.models = from_thread(models_of(attempt.run))
    finally:
        sent.unsaved = from_thread(unshare(attempt.run))
        _take(attempt, list(arrived), sent)


def _watch(shared: Shared, config: RunConfig, stop_starting: Callable[[], object]) -> None:
    """Say what holds the run back or ends it."""
    logger = get_run_logger()
    inference = shared.inference
    hold = inference.throttle.hold

    def stopped(reason: StopReason, on_their_way: int) -> None:
        stop_starting()
        if reason is StopReason.INTERRUPTED:
            logger.warning(stopping_line(on_their_way, config.grace_seconds, bool(shared.journal.trouble)))

    def failing(now: bool) -> None:
        hold(now)
        if now:
            logger.warning("Answers cannot be saved (%s); nothing is sent until they can", shared.journal.trouble)
        else:
            logger.info("Answers can be saved again")

    inference.on_stop = stopped
    inference.throttle.changed = LimitLog(config.max_concurrent, logger)
    inference.lessons.on_outage = OutageLog(config.give_up_seconds, logger)
    shared.journal.failing = failing


def _taken_over(holder: Holder) -> str:
    return f"this run stood still for too long, and {holder} has taken its job over"


def _send_from_cluster(attempt: Attempt, runner: Any, progress: Progress, sent: Sent, lock: JobLock) -> None:
    """Other processes send. They keep what arrives; here is known what whole chunks have brought."""
    futures: deque[Any] = deque()  # the cluster's own futures
    never_started: set[UUID] = set()

    def stop() -> None:
        never_started.update(stop_chunks(runner, futures.copy(), attempt.run))

    def interrupt() -> None:  # a signal may come in the middle of a call into the cluster: no second one beside it
        sent.stopped = RunStopped(StopReason.INTERRUPTED, "interrupted")
        threading.Thread(target=stop, name="stop").start()

    def lost(holder: Holder) -> None:
        sent.stopped = RunStopped(StopReason.TAKEN_OVER, _taken_over(holder))
        stop()

    lock.lost = lost
    with interruptible(interrupt):
        run = replace(attempt.run, owner=lock.owner)
        for future in _mapped(attempt.plan.chunks, run, futures, CHUNKS_AHEAD, lambda: sent.stopped, stop):
            if future.task_run_id not in never_started:
                answers = _collect(future, sent)
                _take(attempt, answers, sent)
                for answer in answers:
                    progress.add(answer)


def _mapped(
    chunks: Iterable[Chunk],
    run: Run,
    futures: deque[Any],
    ahead: int,
    stopped: Callable[[], object],
    stop: Callable[[], object] = lambda: None,
) -> Iterator[PrefectFuture[Any]]:
    """The chunks' futures in order. `futures`: those under way, about `ahead` of them: there may be very many chunks.

    `stop` is called where the run was `stopped` while chunks were on their way to the runner.
    """
    waiting = iter(chunks)
    while True:
        if not stopped() and len(futures) < ahead and (more := list(islice(waiting, ahead))):
            futures.extend(_chunk_task().map(more, run=unmapped(run)))
            if stopped():
                stop()
        if not futures:
            return
        yield futures[0]
        futures.popleft()


def _take(attempt: Attempt, answers: Iterable[RowAnswer], sent: Sent) -> None:
    """Where there is no room for them, they are in the checkpoint all the same."""
    try:
        attempt.answers.answer(attempt.run.attempt, answers)
    except StorageError as error:
        sent.failures.append(str(error))


def _chunk_task() -> Task[..., Any]:
    """The local server keeps no limit on a tag, so a chunk there must not wait for its word on one."""
    if not is_local():
        return answer_chunk
    untagged = answer_chunk.with_options()
    untagged.tags = set()
    return untagged


def _ended(future: PrefectFuture[Any], sent: Sent) -> State[Any]:
    """How a chunk ended, as soon as it has."""
    future.wait()
    forget_task_run_states()
    state = future.state
    if isinstance(state.data, ResultRecord):
        sent.not_persisted += not state.data.is_persisted
    if state.is_failed() or state.is_crashed() or not state.is_final():  # or the cluster has lost it
        sent.failures.append(f"{state.name}: {state.message}")
    return state


def _collect(future: PrefectFuture[Any], sent: Sent) -> list[RowAnswer]:
    """What a chunk has brought that ran in another process."""
    state = _ended(future, sent)
    try:
        value = state.result(raise_on_failure=False)
        results = unpack(value)
    except Exception:  # an exception in place of a result, or a record that cannot be read
        return []
    if stop := stopped_in(value):
        sent.stopped = sent.stopped or stop
    return results
