"""Sends the samples of one chunk: every row to its outcome, with retries, through the run's one throttle.

Knows neither Prefect nor the SDK. A row that fails is a RowAnswer like any other; only RunStopped and
CancelledError end a chunk early, and what has arrived by then is in `results`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tasks.core.answering.breaker import Breaker, Stop
from tasks.core.answering.deadline import Deadline
from tasks.core.answering.lessons import Lessons
from tasks.core.answering.minute import Slot
from tasks.core.answering.outcomes import outcome_of, outcome_of_error
from tasks.core.answering.throttle import Throttle
from tasks.core.answering.tries import Tries
from tasks.core.clock import Clock
from tasks.core.config.parameters import GenerateConfig, LimitsConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.prompts.prepare import Prepared, ReadImage, estimate_tokens, prepare
from tasks.core.records import Kind, ModelOutput, Outcome, Request, RowAnswer, Sample

LEAST_WORKERS = 10  # rows that take turns: else one bad row would look like weather
logger = logging.getLogger(__name__)
PLAIN_REFUSAL = "contains an invalid argument"  # which one, the API does not say
TOO_LARGE = "larger than the quota of a minute"
NOTHING_TO_SEND = Outcome(Kind.INPUT, detail="neither text nor image")


class Model(Protocol):
    """What answers requests; GeminiClient, or a fake in tests."""

    async def generate(self, request: Request) -> ModelOutput: ...


@dataclass(slots=True)
class Inference:
    """What all chunks of a process share: one model client, one throttle, one breaker.

    `read_image(row)` gives the image's bytes or None, or raises ImageError; it may block and runs in a thread.
    """

    model: Model
    generation: GenerateConfig
    limits: LimitsConfig
    throttle: Throttle
    breaker: Breaker
    clock: Clock = time.monotonic
    random: Callable[[], float] = random.random
    calls: set[Deadline] = field(default_factory=set)  # requests on their way
    readings: set[Deadline] = field(default_factory=set)  # images being read
    on_stop: Callable[[StopReason, int], object] = lambda reason, on_their_way: None
    lessons: Lessons = field(init=False)

    def __post_init__(self) -> None:
        self.lessons = Lessons(self.limits, self.throttle, self.breaker, self._obey)

    async def infer(
        self,
        samples: Sequence[Sample],
        read_image: ReadImage | None,
        results: list[RowAnswer],
        done: Callable[[RowAnswer], None] = lambda result: None,
    ) -> None:
        """Append one result per sample to `results`, in the order they arrive; `done` hears of each.

        Raises:
            RunStopped: the run was stopped; `results` holds what has arrived.
        """
        waiting = iter(samples)
        workers = min(len(samples), max(self.limits.max_concurrent, LEAST_WORKERS))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._work(waiting, read_image, results, done)) for _ in range(workers)]
        if stopped := next((stop for task in tasks if (stop := task.result())), None):
            raise stopped

    def stop(self, reason: StopReason, message: str, *, patient: bool = False) -> None:
        """Send nothing more; wait for the answers on their way for `grace_seconds` at most (`patient`: as ever).

        Call it on the event loop of the requests.
        """
        self.throttle.stop(reason, message)
        if not patient:
            latest = asyncio.get_running_loop().time() + self.limits.grace_seconds
            for deadline in self.calls | self.readings:
                deadline.shorten(latest)
        self.on_stop(reason, len(self.calls))

    async def _work(
        self,
        waiting: Iterator[Sample],
        read_image: ReadImage | None,
        results: list[RowAnswer],
        done: Callable[[RowAnswer], None],
    ) -> RunStopped | None:
        try:
            for sample in waiting:
                result = await self._row(sample, read_image)
                results.append(result)
                done(result)
        except RunStopped as stopped:  # the others may still bring an answer home
            return stopped
        return None

    async def _row(self, sample: Sample, read_image: ReadImage | None) -> RowAnswer:
        """Whatever goes wrong with a row is that row's: its siblings are on their way and paid for."""
        try:
            return await self._infer_row(sample, read_image)
        except RunStopped:
            raise
        except Exception as error:
            logger.debug("row %d could not be handled", sample.row, exc_info=True)
            outcome = Outcome(
                Kind.SERVER_ERROR, detail=f"the row could not be handled: {type(error).__name__}: {error}"
            )
            return _result(sample, prepare(self.generation, sample, None), outcome, Tries(1))

    async def _infer_row(self, sample: Sample, read_image: ReadImage | None) -> RowAnswer:
        tries = Tries(self.limits.max_attempts, estimate_tokens(sample, read_image is not None))
        while True:
            prepared, outcome = await self._attempt(sample, read_image, tries)
            if _blames_image(prepared, outcome):
                if tries.image_goes_again(outcome):
                    await self.throttle.back_off(self.random() * tries.backoff_seconds)
                continue
            tries.note(outcome, self.breaker.weather.weight(sample.row), self.clock())
            if tries.alone and self.lessons.bulk.too_large(tries.tokens) and outcome.kind is Kind.RATE_LIMIT:
                return _result(sample, prepared, replace(outcome, detail=f"{TOO_LARGE}: {outcome.detail}"), tries)
            if tries.over(outcome, self.breaker.final(outcome), self.clock()):
                return _result(sample, prepared, outcome, tries)
            del prepared  # with its image, which is read again
            delay = self.breaker.bearable(outcome.retry_delay_seconds)
            if outcome.kind is not Kind.RATE_LIMIT or not delay or tries.alone:  # else the throttle waits
                await self.throttle.back_off(delay or self.random() * tries.backoff_seconds)

    async def _attempt(self, sample: Sample, read_image: ReadImage | None, tries: Tries) -> tuple[Prepared, Outcome]:
        if read_image is None and not sample.text.strip():
            return await self._prepare(sample, None, ""), NOTHING_TO_SEND
        if tries.alone:
            await self.throttle.quiet(lambda: self.lessons.bulk.too_large(tries.tokens))
        slot = await self.throttle.acquire(tries.tokens)
        outcome = None
        try:
            try:
                prepared = await self._prepare(sample, read_image, tries.without_image)
            except OSError as error:  # a TimeoutError among them
                self.throttle.check()
                return prepare(self.generation, sample, None), self._unread(error)
            self.lessons.image_left_out(sample.row, prepared, tries)
            if not prepared.request.text.strip() and not prepared.request.image:
                return prepared, NOTHING_TO_SEND
            await self.throttle.wait_to_send(slot)
            outcome = await self._call(prepared.request)
            if not _blames_image(prepared, outcome):
                self._learn(sample.row, slot, tries, prepared, outcome)
            return prepared, outcome
        finally:
            self.throttle.release(slot, outcome.usage.prompt_tokens or None if outcome else None)

    async def _prepare(self, sample: Sample, read_image: ReadImage | None, without_image: str) -> Prepared:
        if read_image is None:
            return prepare(self.generation, sample, None)
        async with Deadline(self.limits.timeout_seconds, self.readings):
            return await asyncio.to_thread(prepare, self.generation, sample, read_image, without_image)

    async def _call(self, request: Request) -> Outcome:
        try:
            async with Deadline(self.limits.timeout_seconds, self.calls):
                return outcome_of(await self.model.generate(request))
        except Exception as error:  # the edge of a row: whatever happened to it is its outcome
            return outcome_of_error(error, self.limits.timeout_seconds)

    def _unread(self, error: OSError) -> Outcome:
        """Nothing was sent, so nothing is billed."""
        again = self.limits.max_attempts - 1
        if error.errno:
            return Outcome(Kind.SERVER_ERROR, detail=f"the image could not be read: {error.strerror}", again=again)
        detail = f"the image was not read within {self.limits.timeout_seconds:g} s"
        return Outcome(Kind.TIMEOUT, detail=detail, again=again)

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
        self.stop(stop.reason, stop.message, patient=stop.reason is not StopReason.API_DOWN)


def _blames_image(prepared: Prepared, outcome: Outcome) -> bool:
    """Whether the API could not read the image, or may not: then the text goes alone, as for any broken image."""
    if outcome.kind is not Kind.INVALID_REQUEST or outcome.run_level or not prepared.request.image:
        return False
    detail = outcome.detail.lower()
    return bool(prepared.request.text) and ("image" in detail or PLAIN_REFUSAL in detail)


def _result(sample: Sample, prepared: Prepared, outcome: Outcome, tries: Tries) -> RowAnswer:
    return RowAnswer(
        row=sample.row,
        id=sample.id,
        key=prepared.key,
        kind=outcome.kind,
        has_image=prepared.request.image is not None,
        response=outcome.text,
        detail=outcome.detail,
        image_note=prepared.image_note,
        prompt_tokens=tries.usage.prompt_tokens,
        answer_tokens=tries.usage.answer_tokens,
        timeouts=tries.timeouts,
        answered_by=outcome.answered_by,
    )
