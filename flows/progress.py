"""Shows a run's progress in the Prefect UI. Answers never wait for it, and its failure is nobody's."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

KEY = "infer-progress"
EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 5.0


@contextmanager
def progress_artifact(percent: Callable[[], float]) -> Iterator[None]:
    """Keep an artifact of the running flow at `percent()`, from a thread of its own, for the length of the block."""
    done = threading.Event()
    in_context = contextvars.copy_context().run  # where Prefect keeps the flow run and its client
    thread = threading.Thread(target=in_context, args=(_keep_current, percent, done), name=KEY, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE_SECONDS)


def _keep_current(percent: Callable[[], float], done: threading.Event) -> None:
    with suppress(Exception):
        shown = percent()
        made: Any = create_progress_artifact(shown, key=KEY, description="Rows with a result, in percent")
        while True:
            ended = done.wait(EVERY_SECONDS)
            if (now := percent()) != shown:
                shown = now
                _update(made, now)
            if ended:
                return


def _update(artifact: UUID, percent: float) -> None:
    with suppress(Exception):  # a server that is busy now may have time for the next one
        update_progress_artifact(artifact, percent)
