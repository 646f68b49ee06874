"""The task that sends one chunk through Gemini and persists what comes back. Wiring only; the work is in core.

All chunks of a process share one Inference (client, pool, throttle), which lives on the process's home loop.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from prefect import State, get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.results import get_result_store
from prefect.states import Cancelled

from tasks.core.batch import Inference
from tasks.core.checkpoint import chunk_key, pack
from tasks.core.chunks import Chunk
from tasks.core.config import GenerateConfig, LimitsConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.gemini import GeminiClient
from tasks.core.health import Health
from tasks.core.home import at_home, home
from tasks.core.records import RowResult
from tasks.core.report import Tally
from tasks.core.sources import DatasetRef
from tasks.core.throttle import Throttle
from tasks.dataset import open_reader, read_samples

TAG = "gemini"
SAVE_PARTIAL_SECONDS = 10.0
_STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Run:
    """What every chunk of a run needs to know; small, and the same on every machine."""

    job: str
    attempt: str
    data: DatasetRef
    generation: GenerateConfig
    limits: LimitsConfig


@dataclass(slots=True)
class Shared:
    """What the chunks of one run share in this process. `done` hears of every row."""

    inference: Inference
    client: GeminiClient
    done: Callable[[RowResult], None] = lambda result: None


_shared: dict[str, Shared] = {}  # by attempt; touched on the home loop only


def _chunk_cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:
    run: Run = parameters["run"]
    return chunk_key(run.job, run.attempt, parameters["chunk"].number)


def _chunk_run_name() -> str:
    context = TaskRunContext.get()
    assert context is not None
    chunk: Chunk = context.parameters["chunk"]
    return f"infer-chunk {chunk.number} ({chunk.label})"


@task(
    name="infer_chunk",
    task_run_name=_chunk_run_name,
    tags={TAG},
    cache_policy=CacheKeyFnPolicy(cache_key_fn=_chunk_cache_key),
    persist_result=True,
    result_serializer="json",
    cache_result_in_memory=False,
    retries=0,
)
async def infer_chunk(chunk: Chunk, run: Run) -> dict[str, Any] | State[Any]:
    """Send the samples of `chunk`; the result is `checkpoint.pack`ed and persisted under the chunk's key.

    A stopped run ends the task early with what has arrived; no later attempt looks for the rest there.
    """
    samples = await asyncio.to_thread(read_samples, run.data, chunk)
    reader = open_reader(run.data)
    results: list[RowResult] = []
    stopped: RunStopped | None = None
    async with _partials_saved(chunk_key(run.job, run.attempt, chunk.number, partial=True), results):
        try:
            await at_home(_infer(run, samples, reader.image if reader.has_images else None, results))
        except RunStopped as error:
            stopped = error
    tally = Tally.of(results)
    get_run_logger().info("%s: %s", chunk.label, tally)
    if stopped is None:
        return pack(results)
    message = f"{stopped.reason}: {tally.rows} of {len(chunk)} rows done and saved; {stopped.message}"
    value = pack(results) | {_STOPPED: [stopped.reason, stopped.message]}
    return Cancelled(name="Stopped", message=message, data=value)


def stopped_in(value: Any) -> RunStopped | None:
    """Why the chunk with this result was stopped, if it was."""
    stopped = value.get(_STOPPED)
    return RunStopped(StopReason(stopped[0]), stopped[1]) if stopped else None


async def share(
    run: Run,
    done: Callable[[RowResult], None],
    on_stop: Callable[[], object],
    on_limit: Callable[[int], object] = lambda limit: None,
) -> Inference:
    """Set up what the chunks of this process share, with ears of the caller's. Call it on the home loop."""
    shared = _shared_of(run)
    shared.done = done
    shared.inference.on_stop = on_stop
    shared.inference.throttle.changed = on_limit
    return shared.inference


async def unshare(run: Run) -> None:
    """Close what `share` set up. Call it on the home loop."""
    if shared := _shared.pop(run.attempt, None):
        await shared.client.close()


def stop_here(run: Run) -> None:
    """End the chunks of `run` in this process, with what has arrived; from any thread."""
    home().call_soon_threadsafe(lambda: _shared_of(run).inference.stop(StopReason.INTERRUPTED, "interrupted"))


async def models_of(run: Run) -> list[str]:
    """Names of the models that the key may use; none where the API does not say. Call it on the home loop."""
    try:
        async with asyncio.timeout(10):
            return await _shared_of(run).client.list_models()
    except Exception:  # a hint is not worth a second error
        return []


def _shared_of(run: Run) -> Shared:
    if run.attempt not in _shared:
        client = GeminiClient(run.generation)
        throttle = Throttle(run.limits)
        inference = Inference(client, run.generation, run.limits, throttle, Health(run.limits.give_up_seconds))
        _shared[run.attempt] = Shared(inference, client)
    return _shared[run.attempt]


async def _infer(run: Run, samples: Any, read_image: Any, results: list[RowResult]) -> None:
    shared = _shared_of(run)
    await shared.inference.infer(samples, read_image, results, shared.done)


@asynccontextmanager
async def _partials_saved(key: str, results: list[RowResult]) -> AsyncIterator[None]:
    """Keep what has arrived so far under `key`: now and then, and when the chunk is cancelled."""
    store = get_result_store()

    async def save_now_and_then() -> None:
        saved = 0
        while True:
            await asyncio.sleep(SAVE_PARTIAL_SECONDS)
            if len(results) > saved:
                saved = len(results)
                await store.awrite(pack(list(results)), key=key)

    saver = asyncio.create_task(save_now_and_then())
    try:
        yield
    except BaseException:
        saver.cancel()
        if results:
            await store.awrite(pack(list(results)), key=key)
        raise
    finally:
        saver.cancel()
        with suppress(asyncio.CancelledError):
            await saver
