"""Whole runs within a budget: what the API bills is never more, by its own count, whatever becomes of requests."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.answering.paying import PayingWithin
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.costs.prices import Price
from tasks.core.costs.purse import OwnPurse
from tasks.core.costs.purse_records import PurseRecords
from tasks.core.costs.rates import Rate, Rates
from tasks.core.costs.shared_purse import SharedPurse
from tasks.core.costs.spending import read_ledger
from tasks.core.costs.terms import MAX_COST, Terms
from tasks.core.costs.treasurer import Treasurer
from tasks.core.details import Usage
from tasks.core.errors import ApiError, ConnectionLost, MalformedAnswer, RunStopped, StopReason
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import ModelOutput, Request, Sample
from tests.virtual_time import run

JOB, MODEL, MOST_TOKENS = "gemini-infer/v1/job", "gemini-3.5-flash-lite", 300
GENERATION = GenerateConfig(model=MODEL, generation_config={"maxOutputTokens": MOST_TOKENS})
LIMITS = LimitsConfig(max_concurrent=200, timeout_seconds=60, give_up_seconds=1e6)
SEEDS, SEEDS_SHARED = 100, 10


PRICE = Price({"standard": Rates({"prompt": Rate(0.3e-6), "cached": Rate(0.3e-6), "answer": Rate(2.5e-6)})})


class Api:
    """Bills what it answers, also what nobody waits for any more, from the moment it has the request.

    `greedy`: all that a request may take, each time.
    """

    def __init__(self, seed: int, price: Price, greedy: bool = False) -> None:
        self._greedy = greedy
        self._random, self._price = Random(seed), price
        self.dollars, self.in_flight, self.peak = 0.0, 0, 0

    async def generate(self, request: Request) -> ModelOutput:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answered(request)
        finally:
            self.in_flight -= 1

    async def _answered(self, request: Request) -> ModelOutput:
        fate = self._random.random()
        if fate < 0.1:
            await asyncio.sleep(self._random.uniform(0, 2))
            raise ApiError(503, "UNAVAILABLE", "later")
        share = 1.0 if self._greedy else self._random.uniform(0.5, 1)
        usage = Usage(len(request.text) // (1 if self._greedy else 4), int(share * MOST_TOKENS))
        self.dollars += self._price.dollars(usage)
        if fate < 0.12:
            await asyncio.sleep(1000)  # longer than anybody waits
        await asyncio.sleep(self._random.lognormvariate(0, 1))
        if fate < 0.14:
            raise ConnectionLost("reset")
        if fate < 0.16:
            raise MalformedAnswer("half of it")
        return ModelOutput("ok", "STOP", usage=Usage() if fate < 0.17 else usage)

    async def list_models(self) -> list[str]:
        return []

    async def close(self) -> None: ...


@dataclass
class Memory:
    """A storage that outlives its processes. `deaf`: to one of them, which is gone."""

    records: dict[str, Any] = field(default_factory=dict)
    deaf: bool = False
    gather_seconds = settle_seconds = 0.0

    def read(self, key: str) -> Any:
        return self.records.get(key)

    def write(self, key: str, value: Any) -> None:
        if not self.deaf:
            self.records[key] = value

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.records if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            if not self.deaf:
                self.records.pop(key, None)

    def size(self, prefix: str) -> int:
        return 0


async def at_once(work: Callable[..., Any], *values: Any) -> None:
    work(*values)


@dataclass(frozen=True)
class Play:
    """What becomes of a job: how many requests may be in flight, and when its attempts are killed."""

    limit: float
    in_flight: int
    texts: Sequence[str]
    kills: Sequence[float | None]


async def attempt(api: Api, storage: Memory, play: Play, number: int) -> RunStopped | None:
    """One go at the rows; killed, it closes nothing."""
    limit, limits = play.limit, LIMITS.model_copy(update={"max_concurrent": play.in_flight})
    before = sum(read_ledger(storage, JOB).killed.values())
    terms = Terms(PRICE, limit - before, MAX_COST, limit, before)
    loop = asyncio.get_running_loop()
    purse = OwnPurse(PurseRecords(storage, JOB, f"a-{number}", at_once), terms.left, loop.time, asyncio.sleep)
    paying = PayingWithin(terms, purse, GENERATION, limits.max_concurrent)
    answerer = OnlineAnswerer(api, limits, paying=paying, clock=loop.time, random=Random(number).random)
    preparer = Preparer(GENERATION)

    async def work() -> None:
        items = (Item(Sample(n, str(n), text), preparer) for n, text in enumerate(play.texts))
        async for _ in answerer.answer("chunk", items):
            pass

    task = asyncio.ensure_future(work())
    _, running = await asyncio.wait([task], timeout=play.kills[number])
    if running:
        storage.deaf = True
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        storage.deaf = False
        return None
    with suppress(RunStopped):
        await task
    await answerer.close()
    return answerer.stopped


async def job(seed: int) -> tuple[float, float, int, list[RunStopped | None]]:
    """A run that ends by its budget: (budget, what was billed, most in flight, how each attempt ended).

    Every other API takes all that it may; three of four jobs are killed once, two of four have few requests in flight.
    """
    random = Random(seed)
    texts = [f"{n} " * random.randint(1, 20) for n in range(320)]
    kills = [random.uniform(0, 3), None] if seed % 4 else [None]
    play = Play(random.uniform(0.15, 0.17), 200 if seed % 4 < 2 else 20, texts, kills)
    api, storage, ends = Api(seed, PRICE, greedy=seed % 2 == 0), Memory(), []
    for number in range(len(kills)):
        ends.append(await attempt(api, storage, play, number))
        assert api.dollars <= play.limit
        assert api.dollars <= sum(read_ledger(storage, JOB).killed.values()) <= play.limit + 1e-9
    return play.limit, api.dollars, api.peak, ends


def test_a_budget_is_never_exceeded() -> None:
    """Requests that fail, hang, are lost or cannot be read, 200 in flight, and runs that are killed and resumed."""
    shares, peaks = [], []
    for seed in range(SEEDS):
        limit, billed, peak, ends = run(job(seed))
        assert [end.reason for end in ends if end][-1:] == [StopReason.BUDGET]
        shares.append(billed / limit)
        peaks.append(peak)
    assert max(shares) <= 1
    assert max(peaks) == 200
    assert min(shares) > 0.3  # what a kill leaves reserved is no more than what was in flight


async def shared_job(seed: int) -> tuple[float, float, list[RunStopped | None]]:
    """Three processes, one of which is killed: (budget, what was billed, how the others ended)."""
    random, loop = Random(seed), asyncio.get_running_loop()
    api, storage, limit = Api(seed, PRICE, greedy=True), Memory(), random.uniform(0.15, 0.17)
    terms = Terms(PRICE, limit, MAX_COST, limit, 0.0)
    limits = LIMITS.model_copy(update={"max_concurrent": 40})
    treasurer = Treasurer(storage, JOB, "a-1", limit, 120.0, loop.time)
    ends: list[RunStopped | None] = []

    async def process(number: int, view: Memory) -> None:
        records = PurseRecords(view, JOB, "a-1", at_once)
        paying = PayingWithin(terms, SharedPurse(records, loop.time, asyncio.sleep), GENERATION, 40, True)
        answerer = OnlineAnswerer(api, limits, paying=paying, clock=loop.time, random=Random(number).random)
        items = (Item(Sample(n, str(n), f"{n} " * 9), Preparer(GENERATION)) for n in range(400))
        with suppress(RunStopped):
            async for _ in answerer.answer("chunk", items):
                pass
        await answerer.close()
        ends.append(answerer.stopped)

    async def look_again_and_again() -> None:
        while len(ends) < 2:
            treasurer.look()
            assert sum(read_ledger(storage, JOB).killed.values()) <= limit + 1e-9
            await asyncio.sleep(0.5)

    looking = asyncio.ensure_future(look_again_and_again())  # what is wrong with it ends the job
    views = [Memory(storage.records) for _ in range(3)]
    first, *others = [asyncio.ensure_future(process(number, view)) for number, view in enumerate(views)]
    await asyncio.sleep(random.uniform(1, 4))
    views[0].deaf = True
    first.cancel()
    await asyncio.gather(looking, *others)
    return limit, api.dollars, ends


def test_several_processes_share_a_budget_that_is_never_exceeded() -> None:
    """Each has leave for what it spends before it does; what a killed one had leave for is not given to others."""
    shares = []
    for seed in range(SEEDS_SHARED):
        limit, billed, ends = run(shared_job(seed))
        assert billed <= limit
        assert [end.reason for end in ends if end] == [StopReason.BUDGET] * 2
        shares.append(billed / limit)
    assert min(shares) > 0.3
