"""The seam: what answers the samples of a chunk, online or otherwise, and what it needs of its two sides.

Above it are the chunks of a run (run_here.py), which know no kind of answerer. Below it is a model (core/gemini),
which knows no run. Nothing here sends, saves, or knows Prefect.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Protocol

from tasks.core.answering.item import Item
from tasks.core.answering.traffic import Traffic
from tasks.core.batches import AtWork, BatchJob, Making
from tasks.core.errors import RunStopped, StopReason
from tasks.core.records import ModelOutput, Repeat, Request, RowAnswer


class Answerer(Protocol):
    """Answers the samples of a run's chunks, in one process. Lives on one event loop."""

    @property
    def stopped(self) -> RunStopped | None:
        """Why nothing goes out any more; None while something may."""

    def answer(self, chunk: str, items: Iterable[Item]) -> AsyncGenerator[RowAnswer | Repeat]:
        """One RowAnswer for every item, or whose it shares, as they come. `chunk`: its key, the same in every process.

        All that arrives is yielded before anything is raised, where the caller was cancelled as well: only who closes
        the generator early does without the rest.

        Raises:
            RunStopped: the run was stopped; items without an answer were not answered.
            Deferred: the other answers are due later.
        """

    def stop(self, reason: StopReason, message: str, grace_seconds: float | None) -> None:
        """Send nothing more; wait for answers on their way for `grace_seconds` at most (None: as ever)."""

    def hold(self, back: bool) -> None:
        """Send nothing while `back`: what is answered cannot be saved at the moment."""

    def saves_by(self, saved: Callable[[], Awaitable[bool]]) -> None:
        """`saved()` returns once all that was yielded so far is on storage; False: it cannot be put there."""

    async def models(self) -> list[str]:
        """Names of the models that the key may use; none where nobody says."""

    async def close(self) -> None:
        """Give back connections and the like."""


class Model(Protocol):
    """What answers one request: GeminiClient, or a fake in tests."""

    async def generate(self, request: Request) -> ModelOutput: ...

    async def list_models(self) -> list[str]: ...

    async def close(self) -> None: ...


class Watcher:
    """Hears how a run is going, on the loop of the requests. This one listens to nothing."""

    def begun(self, traffic: Callable[[], Traffic]) -> None:
        """Requests may go out. `traffic()` says how they do, whenever it is asked, on any thread."""

    def answered(self, answer: RowAnswer) -> None:
        """A row has its answer; it is not saved yet."""

    def repeated(self, repeat: Repeat) -> None:
        """A row gets the answer of another."""

    def stopping(self, reason: StopReason, on_their_way: int) -> None:
        """Nothing more goes out. `on_their_way`: requests without an answer so far."""

    def limit_changed(self, limit: int) -> None:
        """So many requests may be in flight now."""

    def outage(self, why: str, seconds: float) -> None:
        """Nobody is answered; with an empty `why` somebody is again, after `seconds`."""

    def at_work(self, now: AtWork) -> None:
        """What is known of batch jobs that have not ended, after each look at them."""

    def making(self, what: Making | None) -> None:
        """How far the next batch job is; None: no job is being made."""

    def job(self, job: BatchJob) -> None:
        """A batch job was made, or has ended."""

    def saving_failed(self, why: str) -> None:
        """Answers cannot be saved, so nothing is sent; with an empty `why` they can again."""
