"""Sends what a plan says through the flow's task runner and collects what arrives, whatever ends the run."""

import math
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from prefect import get_run_logger

from flows.display import Display, displayed
from flows.prefix import prefix_cached
from flows.progress import Shown, progress_artifact
from flows.runners.cluster import stop_chunks, task_runner_of
from flows.runners.event_loop import EventLoopTaskRunner
from flows.runners.interrupt import interruptible
from flows.sent import Sent
from flows.treasury import budget_shared_out
from flows.watcher import RunWatcher
from flows.window import Window
from tasks.answer_chunk import process
from tasks.core.answering.batch.flight import MOST_ACTIVE
from tasks.core.answering.run import Run
from tasks.core.checkpoint.holder import Holder
from tasks.core.checkpoint.layout import StorageError
from tasks.core.checkpoint.lock import JobLock
from tasks.core.config.groups.run import TaskRunnerKind
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.planning.attempt import Attempt
from tasks.core.records import Repeat, RowAnswer
from tasks.core.reporting.progress import Progress

CHUNKS_AHEAD = 1000  # that a cluster is given at once


def send(attempt: Attempt, config: RunConfig, lock: JobLock) -> Sent:
    """Map answer_chunk over the plan's chunks and collect what arrives, whatever ends the run."""
    sent = Sent()
    if not attempt.plan.to_send:
        return sent
    plan, logger = attempt.plan, get_run_logger()
    at_once = chunks_at_once(config, attempt.run)
    progress = Progress(plan.rows, plan.reused, config.model, logger, attempt.costs.price)
    with (
        task_runner_of(config, at_once) as runner,
        progress_artifact(lambda: Shown(progress.percent, "; ".join(filter(None, (progress.cost, progress.jobs))))),
        displayed(progress, logger) as display,
    ):
        if isinstance(runner, EventLoopTaskRunner):
            runner.max_workers = at_once
            process.requests.adopt(runner.loop)
        with prefix_cached(attempt.run):
            if config.task_runner is TaskRunnerKind.LOCAL:
                _send_from_here(attempt, config, runner, display, sent, lock)
            else:
                _send_from_cluster(attempt, runner, display, sent, lock)
        with _room_for_answers(sent):
            sent.repeats = attempt.repeats.settle()
    if sent.not_persisted:
        get_run_logger().warning(
            "Prefect could not persist the results of %d chunks; the checkpoint's own records count", sent.not_persisted
        )
    return sent


def chunks_at_once(config: RunConfig, run: Run) -> int:
    """Enough that the rows of other chunks fill every slot while some wait for their slowest answers.

    Of 50 answers with lognormal latency (sigma 0.6) the slowest takes some 4 times the mean: as long, slots must be
    fed by the chunks behind. Twice that, for they begin one after the other, and the server may take its time.
    A chunk that waits for slots has sent nothing yet. Of batch jobs as many as may be under way.
    """
    if run.batch:
        return MOST_ACTIVE
    return math.ceil(8 * config.max_concurrent / config.save_every) + 2


def _send_from_here(
    attempt: Attempt, config: RunConfig, runner: Any, display: Display, sent: Sent, lock: JobLock
) -> None:
    """This process sends, and hears of each row as it is answered: no result depends on what Prefect makes of it."""
    requests = process.requests
    watcher = RunWatcher(attempt.run.limits, display.progress, getattr(runner, "stop_starting", lambda: None))
    arrived = watcher.arrived
    here = requests.run_from_thread(process.open(attempt.run, attempt.storage, watcher))
    lock.lost = lambda holder: process.stop(attempt.run, StopReason.TAKEN_OVER, _taken_over(holder))
    try:
        with interruptible(lambda: process.stop(attempt.run), display.wipe, batches=attempt.run.batch is not None):
            answerer, ahead = here.answerer, 2 * chunks_at_once(config, attempt.run)
            for future in Window(attempt.plan.chunks, attempt.run, ahead).futures(lambda: answerer.stopped):
                sent.note_end(future)
                _take(attempt, [arrived.popleft() for _ in range(len(arrived))], sent)
                display.progress.repeats = len(attempt.repeats)
        sent.stopped, sent.deferred = answerer.stopped, here.deferred
        if sent.stopped and sent.stopped.reason is StopReason.REFUSED_MODEL:
            sent.models = requests.run_from_thread(answerer.models())
    finally:
        sent.unsaved = requests.run_from_thread(process.close(attempt.run))
        _take(attempt, list(arrived), sent)


def _taken_over(holder: Holder) -> str:
    return f"this run stood still for too long, and {holder} has taken its job over"


def _send_from_cluster(attempt: Attempt, runner: Any, display: Display, sent: Sent, lock: JobLock) -> None:
    """Other processes send. They keep what arrives; here is known what whole chunks have brought."""
    run = replace(attempt.run, owner=lock.owner)
    window = Window(attempt.plan.chunks, run, CHUNKS_AHEAD)
    never_started: set[UUID] = set()

    def stop() -> None:
        never_started.update(stop_chunks(runner, window.under_way.copy(), attempt.run))

    def interrupt() -> None:  # a signal may come in the middle of a call into the cluster: no second one beside it
        sent.stopped = RunStopped(StopReason.INTERRUPTED, "interrupted")
        threading.Thread(target=stop, name="stop").start()

    def lost(holder: Holder) -> None:
        sent.stopped = RunStopped(StopReason.TAKEN_OVER, _taken_over(holder))
        stop()

    lock.lost = lost
    with interruptible(interrupt, display.wipe), budget_shared_out(attempt):
        for future in window.futures(lambda: sent.stopped, stop):
            if future.task_run_id not in never_started:
                answers = sent.collect(future)
                _take(attempt, answers, sent)
                display.progress.repeats = len(attempt.repeats)
                for answer in answers:
                    if isinstance(answer, RowAnswer):
                        display.progress.add(answer)


def _take(attempt: Attempt, arrived: Collection[RowAnswer | Repeat], sent: Sent) -> None:
    with _room_for_answers(sent):
        answers = [answer for answer in arrived if isinstance(answer, RowAnswer)]
        attempt.answers.answer(attempt.run.attempt, answers)
        attempt.repeats.wait(repeat for repeat in arrived if isinstance(repeat, Repeat))


@contextmanager
def _room_for_answers(sent: Sent) -> Iterator[None]:
    """Where there is none, they are in the checkpoint all the same."""
    try:
        yield
    except StorageError as error:
        sent.failures.append(str(error))
