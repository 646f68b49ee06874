"""What came of sending, as the chunks end one by one. Sends nothing, and saves nothing."""

from dataclasses import dataclass, field
from typing import Any

from prefect import State
from prefect.futures import PrefectFuture

from tasks.answer_chunk import early_end_of, repeats_of
from tasks.core.checkpoint.contents import unpack
from tasks.core.errors import Deferred, RunStopped
from tasks.core.records import Repeat, RowAnswer
from tasks.prefect_internals import ResultRecord, forget_task_run_states


@dataclass(slots=True)
class Sent:
    """Why the run was stopped, and chunks that failed. The answers are in the attempt's table.

    `deferred`: some answers are due later, the first of them then. `unsaved`: answers that could not be saved yet.
    `repeats`: rows that have got the answer of another one.
    """

    stopped: RunStopped | None = None
    deferred: Deferred | None = None
    failures: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)  # that the key may use, where the API refused the one asked for
    unsaved: list[RowAnswer] = field(default_factory=list)
    repeats: int = 0
    batches: str = ""  # jobs that go on without the run
    not_persisted: int = 0  # chunks whose result Prefect could not write; their answers are in the journal

    def note_end(self, future: PrefectFuture[Any]) -> State[Any]:
        """How a chunk ended, as soon as it has."""
        future.wait()
        forget_task_run_states()
        state = future.state
        if isinstance(state.data, ResultRecord):
            self.not_persisted += not state.data.is_persisted
        if state.is_failed() or state.is_crashed() or not state.is_final():  # or the cluster has lost it
            self.failures.append(f"{state.name}: {state.message}")
        return state

    def collect(self, future: PrefectFuture[Any]) -> list[RowAnswer | Repeat]:
        """What a chunk has brought that ran in another process, once it has ended."""
        state = self.note_end(future)
        try:
            value: Any = state.result(raise_on_failure=False)
            arrived: list[RowAnswer | Repeat] = [*unpack(value), *repeats_of(value)]
        except Exception:  # an exception in place of a result, or a record that cannot be read
            return []
        match early_end_of(value):
            case RunStopped() as stopped:
                self.stopped = self.stopped or stopped
            case Deferred() as deferred:
                self.deferred = deferred.or_sooner(self.deferred)
        return arrived
