"""A Batch API in memory, in a time of its own, and processes that are killed at any step of theirs.

Nothing here waits: the loop's time jumps to the next thing that is due.
"""

import asyncio
import hashlib
import json
import selectors
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

from tasks.core.answering.base import Watcher
from tasks.core.answering.batch.answerer import BatchAnswerer
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.earlier import EarlierGroups
from tasks.core.answering.batch.flight import BatchLimits
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.batch.paying import GroupPaying, GroupPayingWithin
from tasks.core.answering.item import Item
from tasks.core.answering.paying import Paying, PayingBeside, PayingWithin
from tasks.core.batches import BatchJob, JobPage, NotSent, ResultLine
from tasks.core.checkpoint.contents import pack, unpack
from tasks.core.checkpoint.groups import Group, GroupRecords
from tasks.core.checkpoint.layout import RecordKind, Storage, answers_key, place_of
from tasks.core.checkpoint.table import AnswerTable
from tasks.core.config.batch import Leftovers
from tasks.core.config.generation import GenerateConfig
from tasks.core.costs.budget import Whole
from tasks.core.costs.prices import BATCH, price_of
from tasks.core.costs.purse import OwnPurse
from tasks.core.costs.purse_records import PurseRecords
from tasks.core.costs.taken import dollars_of
from tasks.core.costs.terms import MAX_COST, Terms
from tasks.core.costs.worst import MOST_ANSWER_TOKENS, Worst
from tasks.core.details import STANDARD, Spent, Usage
from tasks.core.errors import ApiError, RunStopped, StopReason
from tasks.core.planning.job_costs import JobCosts
from tasks.core.prompts.prepare import NOTHING_TO_SEND, Preparer
from tasks.core.records import Kind, ModelOutput, Outcome, Request, RowAnswer, Sample

JOB = "gemini-infer/v1/data-test-model-abc"
GENERATION = GenerateConfig(model="m", generation_config={"maxOutputTokens": 40})
PREPARER = Preparer(GENERATION)
PRICE = price_of("m", {"input": 1.0, "output": 10.0})
assert PRICE
DAY = 86_400.0


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose time passes only by waiting, and whose threads do their work at once."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(_NoWaiting(self))
        self.now = start

    def time(self) -> float:
        return self.now

    def run_in_executor[T](  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:
            done.set_exception(error)
        return done


class _NoWaiting(selectors.SelectSelector):
    def __init__(self, loop: VirtualTime) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self._loop.now += timeout
        if timeout is None:
            raise AssertionError("everybody waits, and for nothing")
        return super().select(0)


def usage_of(text: str) -> Usage:
    """What an answer takes: of some rows all that it may."""
    return Usage(len(text) // 3, 1 + crc32(text.encode()) % 40)


def dollars_for(text: str, tier: str) -> float:
    assert PRICE
    return PRICE.dollars(usage_of(text), tier)


class Killed(BaseException):
    """kill -9: nothing of the process happens any more."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the API does with creates. `answer`: `ok`, `drop`, `503`, `429`, `unsent`; `made`: whether a job comes.

    `effect_seconds`: until the create takes effect; `listed_seconds`: from then on until the job is listed.
    `times`: how often; after that all is well.
    """

    answer: str = "ok"
    made: bool = True
    effect_seconds: float = 0.0
    listed_seconds: float = 0.0
    times: int = 1


SCRIPTS = {
    "all is well": Script(),
    "503, made": Script("503"),
    "503, not made": Script("503", made=False),
    "answer lost, made": Script("drop"),
    "answer lost, listed 60 s late": Script("drop", listed_seconds=60),
    "answer lost, listed 500 s late": Script("drop", listed_seconds=500),
    "takes effect 60 s late": Script("drop", effect_seconds=60),
    "takes effect an hour late": Script("drop", effect_seconds=3600),
    "no connection": Script("unsent", made=False),
    "listed 500 s late": Script(listed_seconds=500),
}


@dataclass(slots=True)
class _Job:
    job: BatchJob
    lines: list[dict[str, Any]]
    made_at: float
    listed_at: float
    ends_at: float
    state: str = "SUCCEEDED"


@dataclass(slots=True)
class World:
    """All that outlives a process. `fate`: what a job ends as, by its number. `run_seconds`: how long it takes.

    `limit`: dollars that all runs may take. `billed`: by the API, for all that a job holds, whatever it ends as.
    """

    folder: Path
    script: Script = field(default_factory=Script)
    fate: dict[int, str] = field(default_factory=dict)
    run_seconds: float = 100.0
    most_rows: int = 1000
    most_active: int = 100
    spoil: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda lines: lines
    now: float = 1_000_000.0
    records: dict[str, str] = field(default_factory=dict)
    uploads: set[str] = field(default_factory=set)
    uploads_begun: int = 0
    most_files: int = 0
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    jobs: dict[str, _Job] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)
    creates: int = 0
    cancels: Counter[str] = field(default_factory=Counter)
    cancels_ignored: bool = False
    late: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    limit: float | None = None
    billed: float = 0.0

    def settle(self) -> None:
        due = [make for at, make in self.late if at <= self.now]
        self.late = [(at, make) for at, make in self.late if at > self.now]
        for make in due:
            make()

    def told(self, found: _Job) -> BatchJob:
        if self.now < found.ends_at:
            return replace(found.job, state="RUNNING")
        file = f"files/batch-{found.job.name}" if found.state == "SUCCEEDED" else ""
        return replace(found.job, state=found.state, done=True, results_file=file, requests=len(found.lines))

    def make(self, name: str, lines: list[dict[str, Any]], listed_seconds: float) -> _Job:
        number = len(self.jobs)
        state = self.fate.get(number, "SUCCEEDED")
        if state == "SUCCEEDED":
            self.paid.update(line["key"].partition(".")[2] for line in lines)
        self.billed += sum(dollars_for(line["text"], BATCH) for line in lines)
        ends_at = self.now + (self.run_seconds if state != "STUCK" else 100 * DAY)
        job = _Job(BatchJob(f"batches/{number}", name), lines, self.now, self.now + listed_seconds, ends_at, state)
        self.jobs[job.job.name] = job
        return job

    @property
    def paid_twice(self) -> dict[str, int]:
        return {key: times for key, times in self.paid.items() if times > 1}

    def answered(self) -> dict[int, RowAnswer]:
        """What the checkpoint has of each row, a finished answer before others."""
        found: dict[int, RowAnswer] = {}
        for _, answer in self._kept():
            if answer.row not in found or found[answer.row].retryable:
                found[answer.row] = answer
        return found

    def table(self) -> AnswerTable:
        """All that the checkpoint has."""
        table = AnswerTable()
        for attempt, answer in self._kept():
            table.kept.add(attempt, [answer])
        return table

    def spent(self, storage: Storage) -> float:
        """What all attempts have taken at most, as the checkpoint has it."""
        assert PRICE
        costs = JobCosts.read(storage, JOB, self.table(), PRICE, MOST_ANSWER_TOKENS)
        return sum(dollars_of(spending, PRICE) for spending in costs.before)

    def _kept(self) -> Iterator[tuple[str, RowAnswer]]:
        for key in sorted(self.records):
            if (place := place_of(JOB, key)).kind is RecordKind.ANSWERS:
                for answer in unpack(json.loads(self.records[key])):
                    yield place.attempt, answer


class Process:
    """One process: its storage and its API. It is killed before its step `dies_at`, or right after it (`+ 0.5`)."""

    gather_seconds = settle_seconds = 0.0

    def __init__(self, world: World, dies_at: float | None = None) -> None:
        self.world, self.dies_at, self.steps, self.alive = world, dies_at, 0, True
        self.died = asyncio.Event()

    def _step(self) -> Callable[[], None]:
        """Begin a step; what it returns ends it."""
        if not self.alive:
            raise Killed
        number, self.steps = self.steps, self.steps + 1
        if self.dies_at == number:
            self.die()

        def end() -> None:
            if self.dies_at == number + 0.5:
                self.die()

        return end

    def die(self) -> None:
        self.alive = False
        self.died.set()
        raise Killed

    async def _call(self) -> Callable[[], None]:
        end = self._step()
        await asyncio.sleep(0.1)
        self.world.now = asyncio.get_running_loop().time()
        self.world.settle()
        return end

    # The checkpoint's Storage

    def read(self, key: str) -> Any | None:
        value = self.world.records.get(key)
        return None if value is None else json.loads(value)

    def write(self, key: str, value: Any) -> None:
        end = self._step()
        self.world.records[key] = json.dumps(value)
        end()

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.world.records if key.startswith(f"{prefix}/"))

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:  # one after the other: a process may die between two
            end = self._step()
            self.world.records.pop(key, None)
            end()

    def size(self, prefix: str) -> int:
        return 0

    # The BatchApi

    def line(self, key: str, request: Request) -> bytes:
        return json.dumps({"key": key, "text": request.text}).encode() + b"\n"

    def read_line(self, line: bytes) -> ResultLine | None:
        try:
            found = json.loads(line)
        except ValueError:
            return None
        if "error" in found:
            return ResultLine(found["key"], ApiError(found["error"], "STATUS", "of this row"))
        text = f"answer to {found['text']}"
        return ResultLine(found["key"], ModelOutput(text, "STOP", usage=usage_of(found["text"])))

    async def start_upload(self, size: int, name: str) -> str:
        end = await self._call()
        upload = f"{name}/{self.world.now}"
        self.world.uploads.add(upload)
        self.world.uploads_begun += 1
        end()
        return upload

    async def received(self, upload: str) -> int | None:
        end = await self._call()
        end()
        return 0 if upload in self.world.uploads else None

    async def upload(
        self, upload: str, path: Path, offset: int = 0, sent: Callable[[int], object] = lambda size: None
    ) -> str:
        end = await self._call()
        self.world.uploads.remove(upload)
        file = f"files/{hashlib.sha256(f'{len(self.world.files)} {self.world.now}'.encode()).hexdigest()[:12]}"
        self.world.files[file] = [json.loads(line) for line in _read(path).splitlines()]
        self.world.most_files = max(self.world.most_files, len(self.world.files))
        end()
        return file

    async def create(self, display_name: str, file: str) -> BatchJob:
        end = await self._call()
        try:
            return self._created(display_name, file)
        finally:
            end()

    def _created(self, display_name: str, file: str) -> BatchJob:
        world = self.world
        world.creates += 1
        active = sum(world.now < job.ends_at for job in world.jobs.values())
        lines = world.files.get(file)
        if lines is None:
            raise ApiError(404, "NOT_FOUND", f"File {file} not found.")
        if active >= world.most_active or len(lines) > world.most_rows:
            raise ApiError(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
        script = world.script if world.script.times else Script()
        world.script = replace(world.script, times=max(0, world.script.times - 1))
        if script.answer == "unsent":
            raise NotSent("no connection")
        if script.made and script.effect_seconds:

            def make_late() -> None:
                if file in world.files:  # what has no input any more by then fails
                    world.make(display_name, lines, script.listed_seconds)

            world.late.append((world.now + script.effect_seconds, make_late))
        elif script.made:
            made = world.make(display_name, lines, script.listed_seconds)
            if script.answer == "ok":
                return made.job
        if script.answer == "drop":
            raise ConnectionError("the connection was lost")
        raise ApiError(int(script.answer), "STATUS", "of this create")

    async def jobs(self, token: str = "", size: int = 100) -> JobPage:
        end = await self._call()
        listed = [job for job in reversed(self.world.jobs.values()) if job.listed_at <= self.world.now]
        start = int(token or 0)
        page = listed[start : start + 2]  # small, as the server likes them
        end()
        more = start + 2 < len(listed)
        return JobPage(tuple(self.world.told(job) for job in page), str(start + 2) if more else "")

    async def get(self, name: str) -> BatchJob:
        end = await self._call()
        found = self.world.jobs.get(name)
        end()
        if found is None:
            raise ApiError(404, "NOT_FOUND", "Requested entity was not found.")
        return self.world.told(found)

    async def cancel(self, name: str) -> None:
        end = await self._call()
        self.world.cancels[name] += 1
        found = self.world.jobs[name]
        if self.world.now < found.ends_at and not self.world.cancels_ignored:
            found.ends_at, found.state = self.world.now, "CANCELLED"
        end()

    async def delete_file(self, name: str) -> None:
        end = await self._call()
        self.world.files.pop(name, None)
        end()

    async def download(self, file: str, to: Path) -> None:
        end = await self._call()
        lines = self.world.spoil(self.world.jobs[file.removeprefix("files/batch-")].lines)
        _write(to, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        end()


def _read(path: Path) -> bytes:
    return path.read_bytes()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


class NoOnline:
    """In the place of an online answerer: it says which rows came to it, and what they cost."""

    def __init__(self, world: World, paying: Paying) -> None:
        self.rows: list[int] = []
        self._world, self._paying = world, paying

    def saves_by(self, saved: object) -> None: ...

    def stop(self, *_: object) -> None: ...

    def hold(self, back: bool) -> None: ...

    async def close(self) -> None:
        await self._paying.close()

    async def answer(self, chunk: str, items: Sequence[Item]) -> Any:
        for item in items:
            prepared, text = item.failed(NOTHING_TO_SEND), item.sample.text
            async with self._paying.reserved(prepared.request, lambda: None) as bill:
                bill.goes_out()
                self._world.billed += dollars_for(text, STANDARD)
                await asyncio.sleep(1)
                outcome = Outcome(Kind.ANSWERED, usage=usage_of(text))
                bill.settle(outcome)
            self.rows.append(item.sample.row)
            yield item.answer_of(prepared, outcome, Spent(outcome.usage))


@dataclass(slots=True)
class Ended:
    """How a process ended: its answerer's exception, if there was one."""

    error: BaseException | None
    in_flight: list[Group]
    online: list[int]
    seconds: float


def run(world: World, rows: int, dies_at: float | None = None, **options: Any) -> tuple[Process, Ended]:
    """One process from its start to its end or death: it settles what is left, plans the rest, and sends it."""
    process = Process(world, dies_at)
    loop = VirtualTime(world.now)
    started = world.now
    try:
        ended = loop.run_until_complete(_ended(process, _run(process, rows, **options)))
        _cancel_all(loop)
    finally:
        world.now = loop.now
        loop.close()
    return process, replace(ended, seconds=world.now - started)


async def _ended(process: Process, work: Coroutine[Any, Any, Ended]) -> Ended:
    task, died = asyncio.ensure_future(work), asyncio.ensure_future(process.died.wait())
    await asyncio.wait([task, died], return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    return Ended(Killed(), [], [], 0) if process.died.is_set() else task.result()


def _cancel_all(loop: VirtualTime) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True)) if tasks else None
    for task in tasks:
        if not task.cancelled():
            task.exception()


async def _run(
    process: Process,
    rows: int,
    *,
    group_rows: int = 3,
    blank: Collection[int] = (),
    leftovers: Leftovers = Leftovers.ONLINE,
    key_mark: str = "aaaaaaaa",
    confirm: Callable[[], object] = lambda: None,
    stop_after: float | None = None,
    limits: BatchLimits | None = None,
    wait: bool = True,
    row_seconds: float = 0.0,
    watcher: Watcher | None = None,
) -> Ended:
    world = process.world
    storage: Storage = process
    clock = asyncio.get_running_loop().time
    records = GroupRecords(storage, JOB)
    groups = Groups(process, records, world.folder, key_mark, None, GroupPaying(PRICE), confirm=confirm, clock=clock)
    earlier_groups = EarlierGroups(groups, records, storage, JOB, lambda group: True, Watcher())
    try:
        while (earlier := await earlier_groups.settle()).in_flight and wait:
            await asyncio.sleep(300)
    except RunStopped as stopped:
        return Ended(stopped, records.under_way(), [], 0)
    in_flight = records.keys_of(earlier.in_flight)
    done = world.answered()
    samples = [Sample(row, f"r{row}", "" if row in blank else f"question {row}") for row in range(rows)]
    items = [
        Item(sample, PREPARER)
        for sample in samples
        if (sample.row not in done or done[sample.row].retryable) and not in_flight[PREPARER.key_of(sample, None)]
    ]
    attempt = f"run-{len([key for key in world.records if key.endswith('/manifest')])}"
    storage.write(f"{JOB}/{attempt}/manifest", {})
    of_groups, paying = _paying(world, storage, attempt)
    groups = Groups(process, records, world.folder, key_mark, None, of_groups, confirm=confirm, clock=clock)
    online = NoOnline(world, paying)
    limits = limits or BatchLimits(Bounds(rows=group_rows))

    async def as_it_is(request: Request) -> Request:
        await asyncio.sleep(row_seconds)
        return request

    answerer = BatchAnswerer(groups, attempt, as_it_is, world.folder, lambda: online, limits, leftovers, watcher)  # type: ignore[arg-type,return-value]
    unsaved: list[RowAnswer] = []
    number = 0

    async def saved() -> bool:
        nonlocal number
        if unsaved:
            storage.write(answers_key(JOB, attempt, "w", number), pack(unsaved))
            unsaved.clear()
            number += 1
        return True

    answerer.saves_by(saved)
    if stop_after is not None:
        asyncio.get_running_loop().call_later(
            stop_after, lambda: answerer.stop(StopReason.INTERRUPTED, "interrupted", 1.0)
        )
    error: BaseException | None = None
    chunks = [items[start : start + 2 * group_rows] for start in range(0, len(items), 2 * group_rows)]

    async def chunk(number: int, some: list[Item]) -> None:
        async for answer in answerer.answer(f"chunk-{number}", some):
            assert isinstance(answer, RowAnswer)
            unsaved.append(answer)

    try:
        found = await asyncio.gather(*(chunk(n, some) for n, some in enumerate(chunks)), return_exceptions=True)
        error = next((each for each in found if isinstance(each, BaseException)), None)
        if isinstance(error, Killed):
            raise error
        assert not isinstance(error, RunStopped) or answerer.stopped  # the run is told, and not the chunk alone
    finally:
        with suppress(Killed):
            await answerer.close()
    await saved()
    if error is None:
        await groups.inputs.give_up_left()
    if world.limit is not None:
        costs = JobCosts.read(storage, JOB, world.table(), PRICE, MOST_ANSWER_TOKENS)
        costs.record(storage, costs.of_attempt(storage, attempt, world.table()), world.table())
    return Ended(error, [], online.rows, 0)


def _paying(world: World, storage: Storage, attempt: str) -> tuple[GroupPaying, Paying]:
    """As tasks/batches.py has it, within what is left of the world's limit."""
    if world.limit is None:
        return GroupPaying(PRICE), Paying()
    assert PRICE
    before, clock = world.spent(storage), asyncio.get_running_loop().time
    terms = Terms(PRICE, max(world.limit - before, 0.0), MAX_COST, world.limit, before)
    records = PurseRecords(storage, JOB, attempt)
    own = PayingWithin(terms, OwnPurse(records, terms.left, clock, asyncio.sleep), GENERATION, 3)
    whole = PayingWithin(terms, Whole(terms.left), GENERATION, 3)
    return GroupPayingWithin(PRICE, Worst(PRICE, GENERATION, BATCH), whole), PayingBeside(whole, own)
