"""What Python code that waits for a run and the run tell each other. A run that a deployment started has no caller."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from tasks.core.costs.spending import Spending
from tasks.core.reporting.progress import Progress
from tasks.core.reporting.tally import Tally


@dataclass(frozen=True, slots=True)
class Ended:
    """What a run that has planned came to. `csv`: None where it has written none."""

    tally: Tally
    rows: int
    csv: Path | None
    spent: Spending


@dataclass(slots=True)
class Caller:
    """`progress`: how far the run is, once it sends. `ended`: what it has come to, once it has.

    `watches`: it shows the progress itself. `interrupt` may be called from another thread than the run's.
    """

    progress: Progress | None = None
    ended: Ended | None = None
    watches: bool = False
    _interrupted: bool = False
    _stop: Callable[[], object] | None = None

    def interrupt(self) -> None:
        self._interrupted = True
        if self._stop:
            self._stop()

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """In the block, `interrupt` calls `stop`; at once where it was called before."""
        self._stop = stop
        if self._interrupted:
            stop()
        try:
            yield
        finally:
            self._stop = None


_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def caller() -> Caller | None:
    """The code that waits for the run of this context."""
    return _caller.get()


@contextmanager
def calling() -> Iterator[Caller]:
    """A flow that is called in this block has this caller."""
    token = _caller.set(made := Caller())
    try:
        yield made
    finally:
        _caller.reset(token)
