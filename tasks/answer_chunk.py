"""The task that sends one chunk through Gemini and persists what comes back. Wiring only; the work is in core.

All chunks of a process share one Inference (client, pool, throttle) and one journal, which live on the process's
home loop.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from prefect import State, get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.states import Cancelled

from tasks.core.answering.breaker import Breaker
from tasks.core.answering.online import Inference
from tasks.core.answering.request_loop import at_home, home
from tasks.core.answering.throttle import Throttle
from tasks.core.checkpoint.journal import Journal
from tasks.core.checkpoint.layout import Storage, chunk_key, lock_key, pack
from tasks.core.checkpoint.lock import BEAT_SECONDS, holder_of
from tasks.core.data.reader import open_reader, read_samples
from tasks.core.errors import RunStopped, StopReason
from tasks.core.gemini.client import GeminiClient
from tasks.core.planning.run import Run
from tasks.core.prompts.prepare import ReadImage
from tasks.core.records import Chunk, RowAnswer, Sample
from tasks.core.reporting.tally import Tally
from tasks.result_storage import storage_of_results

TAG = "gemini"
IDLE_SECONDS = 30.0  # after its last chunk, a process keeps a run's connections for as long
LAST_SAVES_SECONDS = 5.0
SILENT_SECONDS = 25.0  # less than it takes for another run to take the job over
_STOPPED = "stopped"
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Shared:
    """What the chunks of one run share in this process. `done` hears of every row."""

    inference: Inference
    client: GeminiClient
    journal: Journal
    done: Callable[[RowAnswer], None] = lambda result: None
    users: int = 0
    watch: asyncio.Task[None] | None = None

    def keep(self, result: RowAnswer) -> None:
        self.journal.add(result)
        try:
            self.done(result)
        except Exception:  # whoever watches a run must not end it
            logger.debug("progress could not be told", exc_info=True)


# By attempt; touched on the home loop only.
_shared: dict[str, Shared] = {}
_stopped_runs: dict[str, tuple[StopReason, str]] = {}
_closing: set[asyncio.Task[list[RowAnswer]]] = set()


def _chunk_cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    run: Run = parameters["run"]
    return chunk_key(run.job, run.attempt, parameters["chunk"].number)


def _chunk_run_name() -> str:
    context = TaskRunContext.get()
    assert context is not None
    chunk: Chunk = context.parameters["chunk"]
    return f"answer-chunk {chunk.number} ({chunk.label})"


@task(
    name="answer_chunk",
    task_run_name=_chunk_run_name,
    tags={TAG},
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_chunk_cache_key),
    persist_result=True,
    result_serializer="json",
    cache_result_in_memory=False,
    retries=0,
)
async def answer_chunk(chunk: Chunk, run: Run) -> dict[str, Any] | State[Any]:
    """Send the samples of `chunk`; each answer is on storage before the task ends, unless that stopped the run.

    The result is `pack`ed and persisted under the chunk's key. A stopped run ends the task early with what has
    arrived; no later attempt looks for the rest there.
    """
    storage = storage_of_results()
    samples, reader = await asyncio.to_thread(lambda: (read_samples(run.data, chunk), open_reader(run.data)))
    read_image = reader.image if reader.has_images else None
    results, stopped = await at_home(_answer(run, storage, chunk.number, samples, read_image))
    tally = Tally.of(results)
    get_run_logger().info("%s: %s", chunk.label, tally)
    if stopped is None:
        return pack(results)
    message = f"{stopped.reason}: {tally.rows} of {len(chunk)} rows done; {stopped.message}"
    value = pack(results) | {_STOPPED: [stopped.reason, stopped.message]}
    return Cancelled(name="Stopped", message=message, data=value)


def stopped_in(value: Any) -> RunStopped | None:
    """Why the chunk with this result was stopped, if it was."""
    stopped = value.get(_STOPPED)
    return RunStopped(StopReason(stopped[0]), stopped[1]) if stopped else None


async def share(run: Run, storage: Storage, done: Callable[[RowAnswer], None]) -> Shared:
    """Set up what the chunks of this process share; `done` hears of every row. Call it on the home loop."""
    shared = _shared_of(run, storage)
    shared.users += 1
    shared.done = done
    return shared


async def unshare(run: Run) -> list[RowAnswer]:
    """Close what `share` set up; returns the results that could not be saved. Call it on the home loop."""
    if shared := _shared.pop(run.attempt, None):
        if shared.watch:
            shared.watch.cancel()
        unsaved = await shared.journal.close(LAST_SAVES_SECONDS)
        await shared.client.close()
        return unsaved
    return []


def stop_here(run: Run, reason: StopReason = StopReason.INTERRUPTED, message: str = "interrupted") -> None:
    """End the chunks of `run` in this process, with what has arrived; from any thread."""

    def stop() -> None:
        _stopped_runs[run.attempt] = reason, message  # for a chunk that is only just arriving here
        if shared := _shared.get(run.attempt):
            shared.journal.hurry()
            shared.inference.stop(reason, message)

    home().call_soon_threadsafe(stop)


async def models_of(run: Run) -> list[str]:
    """Names of the models that the key may use; none where the API does not say. Call it on the home loop."""
    try:
        async with asyncio.timeout(10):
            return await _shared[run.attempt].client.list_models()
    except Exception:  # a hint is not worth a second error
        return []


def _shared_of(run: Run, storage: Storage) -> Shared:
    if run.attempt not in _shared:
        client = GeminiClient(run.generation)
        throttle = Throttle(run.limits)
        inference = Inference(client, run.generation, run.limits, throttle, Breaker(run.limits.give_up_seconds))

        def give_up(why: str) -> None:
            inference.stop(StopReason.STORAGE, _unsaved(journal))

        journal = Journal(storage, run.job, run.attempt, throttle.hold, give_up)
        _shared[run.attempt] = Shared(inference, client, journal)
        if run.owner:
            _shared[run.attempt].watch = asyncio.get_running_loop().create_task(_watch(run, storage))
        if run.attempt in _stopped_runs:
            inference.stop(*_stopped_runs[run.attempt])
    return _shared[run.attempt]


async def _watch(run: Run, storage: Storage) -> None:
    """Stop when the run's own process is gone, or another run has the job: on a cluster nobody else would."""
    beats, seen = -1, time.monotonic()
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        with suppress(OSError):
            holder = await asyncio.to_thread(holder_of, storage, lock_key(run.job))
            if holder is None or holder.owner != run.owner:
                return stop_here(run, StopReason.TAKEN_OVER, "the run that asked for this has ended")
            if holder.beats != beats:
                beats, seen = holder.beats, time.monotonic()
            elif time.monotonic() - seen > SILENT_SECONDS:
                return stop_here(run, StopReason.TAKEN_OVER, "the run that asked for this shows no sign of life")


@asynccontextmanager
async def _using(run: Run, storage: Storage) -> AsyncIterator[Shared]:
    """What the chunks of `run` share here. A process that serves run after run does not keep it for ever."""
    shared = _shared_of(run, storage)
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            asyncio.get_running_loop().call_later(IDLE_SECONDS, _close_if_idle, run)


def _close_if_idle(run: Run) -> None:
    if (shared := _shared.get(run.attempt)) and not shared.users:
        _closing.add(task := asyncio.get_running_loop().create_task(unshare(run)))
        task.add_done_callback(_closing.discard)


def _unsaved(journal: Journal) -> str:
    return f"the result storage cannot be written: {journal.trouble}"


async def _answer(
    run: Run, storage: Storage, chunk: int, samples: Sequence[Sample], read_image: ReadImage | None
) -> tuple[list[RowAnswer], RunStopped | None]:
    """The results of a chunk, on storage; and why there are no more of them."""
    results: list[RowAnswer] = []
    async with _using(run, storage) as shared:
        try:
            await shared.inference.infer(samples, read_image, results, shared.keep)
            shared.journal.chunk_done(chunk)
        except RunStopped as stopped:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SAVES_SECONDS):
                    await shared.journal.saved()
            return results, stopped
        except asyncio.CancelledError:
            await asyncio.shield(shared.journal.saved())
            raise
        if not await shared.journal.saved():
            return results, RunStopped(StopReason.STORAGE, _unsaved(shared.journal))
    return results, None
