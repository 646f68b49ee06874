"""The task that sends one chunk through Gemini and persists what comes back. Wiring only; the work is in core.

The one place that puts answerers together: a model client of core/gemini, and what answers with it.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from prefect import State, get_run_logger, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.states import Cancelled, Completed

from tasks.batches import batch_answerer
from tasks.core.answering.base import Answerer, Model, Watcher
from tasks.core.answering.caching import CachingModel
from tasks.core.answering.item import Item
from tasks.core.answering.misfits import Fitting
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.answering.paying import Paying, PayingWithin
from tasks.core.answering.prefix_cache import PrefixCache
from tasks.core.answering.process import Process
from tasks.core.answering.run import Run
from tasks.core.answering.run_here import ChunkAnswers
from tasks.core.answering.uploading import UploadingModel
from tasks.core.checkpoint.contents import pack
from tasks.core.checkpoint.layout import Storage, chunk_key
from tasks.core.checkpoint.table.repeats import Claims
from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.purse import OwnPurse
from tasks.core.costs.purse_records import PurseRecords
from tasks.core.costs.shared_purse import SharedPurse
from tasks.core.data.reader import open_reader, read_samples
from tasks.core.errors import Deferred, RunStopped, StopReason
from tasks.core.gemini.client import GeminiClient
from tasks.core.media.uploads import Uploads
from tasks.core.prefix import Prefix
from tasks.core.records import Chunk, Repeat, Sample
from tasks.core.reporting.tally import Tally
from tasks.core.text import one_line
from tasks.result_storage import storage_of_results

TAG = "gemini"
WITH_ERRORS = "With errors"  # state of a chunk some of whose rows have no answer
SLICE = 200  # rows of a batch job in memory at once
_STOPPED, _DEFERRED, _REPEATS = "stopped", "deferred", "repeats"


def _answerer_of(run: Run, storage: Storage, watcher: Watcher) -> Answerer:
    if run.batch:
        return batch_answerer(run, run.batch, storage, watcher, fitting_of(run.generation))
    client = GeminiClient(run.generation)
    model: Model = UploadingModel(client, Uploads(client.files), run.limits.timeout_seconds)
    if run.prefix:
        model = CachingModel(model, PrefixCache(client.caches, run.prefix), run.limits.timeout_seconds / 2)
    claims = Claims() if run.dedupe else None
    return OnlineAnswerer(model, run.limits, watcher, claims, fitting_of(run.generation), paying=_paying(run, storage))


def fitting_of(generation: GenerateConfig) -> Fitting | None:
    """What makes an answer fit the schema that is asked for; None: there is none."""
    if generation.response_schema is None:
        return None
    from tasks.core.prompts.schema import SchemaCheck  # which takes time that most runs need not spend

    return SchemaCheck(generation.response_schema).fitting


def _paying(run: Run, storage: Storage) -> Paying:
    if not run.terms:
        return Paying()
    records = PurseRecords(storage, run.job, run.attempt)
    shared = bool(run.owner)
    purse = SharedPurse(records) if shared else OwnPurse(records, run.terms.left)
    return PayingWithin(run.terms, purse, run.generation, run.limits.max_concurrent, shared)


process = Process(_answerer_of)


@asynccontextmanager
async def prefix_cache(run: Run, prefix: Prefix) -> AsyncIterator[PrefixCache]:
    """The cache of a run's prefix, for whoever is there before its first chunk and after the last one."""
    async with GeminiClient(run.generation) as client:
        yield PrefixCache(client.caches, prefix)


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
async def answer_chunk(chunk: Chunk, run: Run) -> State[Any]:
    """Send the samples of `chunk`; each answer is on storage before the task ends, unless that stopped the run.

    The result is `pack`ed and persisted under the chunk's key. A stopped run ends the task early with what has
    arrived, and so does an answerer that brings the rest later; no later attempt looks for the rest there.
    """
    brought = await _brought(run, storage_of_results(), chunk)  # a cluster gets this function by value, not that
    tally, value = Tally.of(brought.answers), pack(brought.answers)
    if brought.repeats:
        value[_REPEATS] = [[repeat.row, repeat.id, repeat.key, repeat.of] for repeat in brought.repeats]
    get_run_logger().info("%s: %s", chunk.label, tally)
    so_far = f"{tally.rows + len(brought.repeats)} of {len(chunk)} rows done"
    match brought.early_end:
        case None:
            name = WITH_ERRORS if tally.errors else None  # else Prefect's own
            return Completed(name=name, message=str(tally), data=value)
        case RunStopped(reason=reason, message=message):
            value[_STOPPED] = [reason, message]
            return Cancelled(name="Stopped", message=f"{reason}: {so_far}; {message}", data=value)
        case Deferred(until=until, message=message):
            value[_DEFERRED] = [until.isoformat(), message]
            return Cancelled(name="Deferred", message=f"until {until.isoformat()}: {so_far}; {message}", data=value)


def early_end_of(value: dict[str, Any]) -> RunStopped | Deferred | None:
    """Why the chunk with this result has not answered all of its rows, if it has not."""
    if stopped := value.get(_STOPPED):
        return RunStopped(StopReason(stopped[0]), stopped[1])
    if deferred := value.get(_DEFERRED):
        return Deferred(datetime.fromisoformat(deferred[0]), deferred[1])
    return None


def repeats_of(value: dict[str, Any]) -> list[Repeat]:
    """The rows of the chunk with this result that get the answers of other rows."""
    return [Repeat(*repeat) for repeat in value.get(_REPEATS, ())]


def stop_here(run: Run) -> None:
    """End the chunks of `run` in this process; for a cluster, whose processes know a function by its name."""
    process.stop(run)


def _read(chunk: Chunk, run: Run) -> Iterable[Item]:
    return _Items(chunk, run) if run.batch else _items_of(chunk, run)


def _items_of(chunk: Chunk, run: Run) -> Sequence[Item]:
    preparer = run.preparer
    try:
        samples, reader = read_samples(run.data, chunk), open_reader(run.data)
    except Exception as error:  # of the Hub, of a disk: the rows are sent another time
        why = one_line(str(error) or type(error).__name__)
        return [Item(Sample(row, "", ""), preparer, unread=why) for span in chunk.spans for row in span]
    return [Item(sample, preparer, reader.media) for sample in samples]


class _Items:
    """The items of a chunk of thousands of rows, read a slice at a time, as often as they are gone through."""

    def __init__(self, chunk: Chunk, run: Run) -> None:
        self._chunk, self._run = chunk, run

    def __iter__(self) -> Iterator[Item]:
        for span in self._chunk.spans:
            for start in range(span.start, span.stop, SLICE):
                part = range(start, min(start + SLICE, span.stop))
                yield from _items_of(Chunk(self._chunk.number, (part,)), self._run)


async def _brought(run: Run, storage: Storage, chunk: Chunk) -> ChunkAnswers:
    return await process.requests.run(process.answer(run, storage, chunk, lambda: _read(chunk, run)))
