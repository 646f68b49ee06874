"""Says what a run would send, take, cost and last. Sends nothing that costs; needs no key, and no Prefect server."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.batch.mode import choice_of
from flows.preflight import api_of
from flows.table import table
from tasks.batches import lists_batches
from tasks.core.answering.workers import as_they_come
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.overlay import Overlay
from tasks.core.config.groups.batch import seconds_of
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.estimate import FEW_ANSWERS, Estimate, Size, answer_tokens, prompt_tokens
from tasks.core.costs.prices import price_of
from tasks.core.costs.sizes import size_of
from tasks.core.costs.ways import UNASKED_SECONDS, durations
from tasks.core.costs.worst import most_answer_tokens
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.environment.credentials import has_credentials
from tasks.core.gemini.client import GeminiClient
from tasks.core.planning.attempt import Attempt
from tasks.core.planning.job import origin_of
from tasks.core.planning.next_attempt import plan_attempt
from tasks.core.records import Request
from tasks.core.reporting.estimate_words import WAYS, duration_line, price_line, token_lines, way_cells
from tasks.core.text import counted, one_line
from tasks.result_storage import default_storage, storage_of

if TYPE_CHECKING:
    from rich.table import Table

LOOKED_AT, WITH_MEDIA, COUNTED = 5000, 50, 50  # rows, evenly spread
AT_ONCE = 10


def estimated(config: RunConfig) -> "Iterator[str | Table]":
    """Lines about all of it.

    Raises:
        InputError: see sources.resolve.
        OSError: the checkpoint cannot be read.
    """
    data = resolve(config)
    yield from data.columns.notices
    said = _Said()
    storage, job = Overlay(_storage()), origin_of(config, data).job
    records = GroupRecords(storage, job)
    attempt = plan_attempt(config, data, job, storage, "dry-run", said.logger, records.keys_of(records.in_flight()))
    rows = [row for chunk in attempt.plan.chunks for span in chunk.spans for row in span]
    yield from said.lines
    repeats = len(attempt.repeats)
    sharing = f", {repeats:,} share the answer of another" if repeats else ""
    yield f"{counted(len(rows), 'row')} to send, {attempt.plan.reused:,} reused{sharing}"
    if in_flight := attempt.plan.in_flight:
        yield f"{counted(in_flight, 'row')} in batch jobs that have not ended, to be collected: nothing is sent of them"
    with api_of(config):
        look = _Look(config, attempt)
        sizes = asyncio.run(look.at(rows))
    so_far, most = attempt.pool.table.answer_sizes(), most_answer_tokens(config.generation)
    estimate = Estimate(len(rows), prompt_tokens(len(rows), sizes), answer_tokens(len(rows), so_far, most))
    yield from token_lines(estimate, look.rests_on, so_far if so_far.answers >= FEW_ANSWERS else None, most)
    yield from _ways(config, estimate, so_far.seconds)
    yield "Nothing was sent that costs anything."


def _ways(config: RunConfig, estimate: Estimate, latency_seconds: float | None) -> "Iterator[str | Table]":
    """The ways to send that many rows, and which of them `auto` takes."""
    price = price_of(config.model, config.given_price)
    left = seconds_of(config.deadline) if config.deadline else UNASKED_SECONDS

    def lists() -> bool:
        return not has_credentials() or asyncio.run(lists_batches(config.generation))

    choice = choice_of(config, estimate, latency_seconds, price, left, lists)
    seconds = durations(estimate, config.limits, latency_seconds, config.service_tier)
    yield from table(WAYS, way_cells(estimate, price, seconds, config.service_tier or "", choice.way), "<>><")
    yield price_line(price, config.model)
    yield duration_line(config.limits, latency_seconds)
    yield choice.line


class _Said:
    """What planning has to say, as lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.logger = logging.Logger("dry-run", logging.INFO)
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.logger.addHandler(handler)


class _Look:
    """At some rows as they would go out. `rests_on`: what their sizes are by."""

    def __init__(self, config: RunConfig, attempt: Attempt) -> None:
        self._generation, self._demo = config.generation, config.demo
        self._reader, self._preparer = open_reader(attempt.run.data), attempt.run.preparer
        self._why_not_counted = "" if config.demo or has_credentials() else "no key is set"
        self._counted = 0

    @property
    def rests_on(self) -> str:
        if self._counted:
            return f"by countTokens of {counted(self._counted, 'row')}"
        return f"by their length, for countTokens was not asked: {self._why_not_counted or 'there is no row'}"

    async def at(self, rows: Sequence[int]) -> list[Size]:
        looked_at = _evenly(rows, WITH_MEDIA if self._reader.media else LOOKED_AT)
        self._to_count = set(_evenly(looked_at, COUNTED))
        if self._why_not_counted:
            return [size async for size in as_they_come(looked_at, self._size, AT_ONCE)]
        async with GeminiClient(self._generation) as client:
            self._client = client
            return [size async for size in as_they_come(looked_at, self._size, AT_ONCE)]

    async def _size(self, row: int) -> Size:
        [sample] = self._reader.samples(range(row, row + 1))
        if self._reader.media:
            prepared = await asyncio.to_thread(self._preparer.prepare, sample, self._reader.media)
        else:
            prepared = self._preparer.prepare(sample, None)
        if prepared.fault:
            return Size(0.0, 0.0, 0.0, 0)
        tokens = await self._count(prepared.request) if row in self._to_count else None
        return size_of(prepared.request, self._generation, tokens)

    async def _count(self, request: Request) -> int | None:
        """None from the first time on that nobody can say."""
        if self._why_not_counted:
            return None
        try:
            tokens = await self._client.tokens.count(request)
        except Exception as error:  # an estimate must not depend on it
            self._why_not_counted = one_line(str(error) or type(error).__name__, 200)
            return None
        self._counted += 1
        return tokens


def _evenly[T](values: Sequence[T], most: int) -> list[T]:
    count = min(len(values), most)
    return [values[(2 * n + 1) * len(values) // (2 * count)] for n in range(count)]


def _storage() -> Storage:
    return storage_of(default_storage())
