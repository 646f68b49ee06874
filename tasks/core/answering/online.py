"""Answers the samples of chunks by one request each, with retries, through the run's one throttle.

Knows neither Prefect, nor storage, nor the SDK, nor how media are read. Whatever becomes of a row is a RowAnswer.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import replace

from tasks.core.answering.base import Model, Watcher
from tasks.core.answering.breaker import Breaker, Stop
from tasks.core.answering.deadline import Deadline
from tasks.core.answering.image_guard import blames_image
from tasks.core.answering.item import Item, mishandled
from tasks.core.answering.lessons import Lessons
from tasks.core.answering.minute import Slot
from tasks.core.answering.misfits import Fitting, asking_again, held_to
from tasks.core.answering.outcomes import outcome_of, outcome_of_error
from tasks.core.answering.paying import Paying
from tasks.core.answering.throttle import Throttle
from tasks.core.answering.tries import Tries
from tasks.core.answering.workers import as_they_come
from tasks.core.checkpoint.table.repeats import Claims
from tasks.core.clock import Clock, Sleep
from tasks.core.config.limits import LimitsConfig
from tasks.core.details import Spent
from tasks.core.errors import RunStopped, StopReason
from tasks.core.prompts.prepare import Prepared
from tasks.core.records import Kind, Outcome, Repeat, Request, RowAnswer

LEAST_WORKERS = 10  # rows that take turns: else one bad row would look like weather
MODELS_SECONDS = 10.0
TOO_LARGE = "larger than the quota of a minute"
logger = logging.getLogger(__name__)


class OnlineAnswerer:
    """An Answerer: one model client, one throttle, one breaker for all chunks of a run in a process.

    `fitting`: makes an answer fit the schema that was asked for; None: there is none.
    `claims`: for rows that ask the same, which planning has not seen; None: every row is sent.
    """

    def __init__(
        self,
        model: Model,
        limits: LimitsConfig,
        watcher: Watcher | None = None,
        claims: Claims | None = None,
        fitting: Fitting | None = None,
        *,
        paying: Paying | None = None,
        clock: Clock = time.monotonic,
        wall_clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.model, self.limits, self.watcher = model, limits, watcher or Watcher()
        self.paying = paying or Paying()
        self.clock, self.wall_clock, self.random, self._claims = clock, wall_clock, random, claims
        self._fitting = fitting
        self.throttle = Throttle(limits, clock=clock, sleep=sleep, changed=self.watcher.limit_changed)
        self.breaker = Breaker(limits.give_up_seconds, clock)
        self.lessons = Lessons(limits, self.throttle, self.breaker, self._obey, self.watcher.outage)
        self._calls = set[Deadline]()  # requests on their way
        self._readings = set[Deadline]()  # images being read
        self.watcher.begun(lambda: self.throttle.traffic)

    @property
    def stopped(self) -> RunStopped | None:
        return self.throttle.stopped

    def answer(self, chunk: str, items: Iterable[Item]) -> AsyncGenerator[RowAnswer | Repeat]:
        """See Answerer.answer; of a stopped run, what arrives in time is yielded first."""
        return as_they_come(items, self._row, max(self.limits.max_concurrent, LEAST_WORKERS))

    def stop(self, reason: StopReason, message: str, grace_seconds: float | None) -> None:
        """See Answerer.stop."""
        self.throttle.stop(reason, message)
        self.paying.wake()
        if grace_seconds is not None:
            latest = asyncio.get_running_loop().time() + grace_seconds
            for deadline in self._calls | self._readings:
                deadline.shorten(latest)
        self.watcher.stopping(reason, len(self._calls))

    def hold(self, back: bool) -> None:
        self.throttle.hold(back)

    def saves_by(self, saved: Callable[[], Awaitable[bool]]) -> None:
        """See Answerer.saves_by: nothing is done once answers are saved."""

    async def models(self) -> list[str]:
        try:
            async with asyncio.timeout(MODELS_SECONDS):
                return await self.model.list_models()
        except Exception:  # a hint is not worth a second error
            return []

    async def close(self) -> None:
        await self.paying.close()
        await self.model.close()

    async def _row(self, item: Item) -> RowAnswer | Repeat:
        """Whatever goes wrong with a row is that row's: its siblings are on their way and paid for."""
        try:
            return await self._answer_row(item)
        except RunStopped as stopped:
            if self.stopped is None:  # the budget says so
                self.stop(stopped.reason, stopped.message, None)
            raise
        except Exception as error:
            logger.debug("row %d could not be handled", item.sample.row, exc_info=True)
            return item.answer_of(item.failed(fault := mishandled(error)), fault)

    async def _answer_row(self, item: Item) -> RowAnswer | Repeat:
        tries = Tries(self.limits.max_attempts, item.tokens, self.limits.busy_seconds)
        while True:
            prepared, outcome = await self._attempt(item, tries)
            if isinstance(outcome, Repeat):
                return outcome
            if blames_image(prepared, outcome):
                if tries.image_goes_again(outcome):
                    await self.throttle.back_off(self.random() * tries.backoff_seconds)
                continue
            tries.note(outcome, self.breaker.weather.weight(item.sample.row), self.clock())
            if tries.alone and self.lessons.bulk.too_large(tries.tokens) and outcome.kind is Kind.RATE_LIMIT:
                outcome = replace(outcome, detail=f"{TOO_LARGE}: {outcome.detail}")
                return item.answer_of(prepared, outcome, tries.spent)
            if tries.ended_by(outcome, self.breaker.refuses_all(outcome), self.clock()):
                return item.answer_of(prepared, outcome, tries.spent)
            del prepared  # with its image, which is read again
            delay = self.breaker.bearable(outcome.retry_delay_seconds)
            if outcome.kind is not Kind.RATE_LIMIT or not delay or tries.alone:  # else the throttle waits
                await self.throttle.back_off(delay or self.random() * tries.backoff_seconds)

    async def _attempt(self, item: Item, tries: Tries) -> tuple[Prepared, Outcome | Repeat]:
        if fault := item.fault:
            return item.failed(fault), fault
        if tries.alone:
            await self.throttle.quiet(lambda: self.lessons.bulk.too_large(tries.tokens))
        slot = await self.throttle.acquire(tries.tokens)
        outcome = None
        try:
            prepared = await item.prepare(self._deadline(self._readings), tries.without_image)
            self.lessons.image_left_out(item.sample.row, prepared, tries)
            if prepared.fault:
                if prepared.fault.kind.retryable:  # it may be the stop that cut it short
                    self.throttle.check()
                return prepared, prepared.fault
            if repeat := self._repeat(item, prepared.key):
                return prepared, repeat
            request = asking_again(prepared.request, tries.misfit)
            async with self.paying.reserved(request, self.throttle.check) as bill:
                await self.throttle.wait_to_send(slot)
                bill.goes_out()
                outcome = await self._call(request, tries.spent)
                bill.settle(outcome)
            if not blames_image(prepared, outcome):
                self._learn(item.sample.row, slot, tries, prepared, outcome)
            return prepared, outcome
        finally:
            if outcome:
                self.throttle.release(slot, outcome.usage.prompt_tokens or None)
            else:
                self.throttle.give_back(slot)

    def _repeat(self, item: Item, key: str) -> Repeat | None:
        """Where another row has asked for the key."""
        row, sample_id = item.sample.row, item.sample.id
        leader = self._claims.leader(key, row) if self._claims else row
        return Repeat(row, sample_id, key, leader) if leader != row else None

    async def _call(self, request: Request, spent: Spent) -> Outcome:
        spent.requests += 1
        started = self.clock()
        try:
            async with self._deadline(self._calls):
                return held_to(self._fitting, outcome_of(await self.model.generate(request)))
        except Exception as error:  # the edge of a row: whatever happened to it is its outcome
            return outcome_of_error(error, self.limits.timeout_seconds)
        finally:
            spent.latency_seconds, spent.answered_at = self.clock() - started, self.wall_clock()

    def _deadline(self, running: set[Deadline]) -> Deadline:
        return Deadline(self.limits.timeout_seconds, running)

    def _learn(self, row: int, slot: Slot, tries: Tries, prepared: Prepared, outcome: Outcome) -> None:
        """An answer that is here must not be lost to whoever is told of it."""
        try:
            self.lessons.learn(row, slot, tries, outcome)
            self.lessons.image_told(row, prepared, tries, outcome)
        except RunStopped:
            raise
        except Exception:
            logger.debug("an outcome could not be learnt from", exc_info=True)

    def _obey(self, stop: Stop) -> None:
        """An API that is gone gets little time; else the answers on their way come as ever."""
        self.stop(stop.reason, stop.message, self.limits.grace_seconds if stop.reason is StopReason.API_DOWN else None)
