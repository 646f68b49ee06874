"""Shows a run's progress in the Prefect UI. Answers never wait for it; its failure is nobody's."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

KEY = "infer-progress"
EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 5.0


class Shown(NamedTuple):
    """How far a run is, and what it has cost."""

    percent: float
    cost: str

    @property
    def words(self) -> str:
        return f"Rows with a result, in percent; {self.cost}"


@contextmanager
def progress_artifact(now: Callable[[], Shown]) -> Iterator[None]:
    """Keep an artifact of the running flow at `now()`, from a thread of its own, for the length of the block."""
    done = threading.Event()
    in_context = contextvars.copy_context().run  # where Prefect keeps the flow run and its client
    thread = threading.Thread(target=in_context, args=(_keep_current, now, done), name=KEY, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE_SECONDS)


def _keep_current(now: Callable[[], Shown], done: threading.Event) -> None:
    with suppress(Exception):
        shown = now()
        made: Any = create_progress_artifact(shown.percent, key=KEY, description=shown.words)
        while True:
            ended = done.wait(EVERY_SECONDS)
            if (changed := now()) != shown:
                shown = changed
                _update(made, shown)
            if ended:
                return


def _update(artifact: UUID, shown: Shown) -> None:
    with suppress(Exception):  # a server that is busy now may have time for the next one
        update_progress_artifact(artifact, shown.percent, shown.words)
