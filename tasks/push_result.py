"""The task that pushes a result to the Hub. Wiring only; the work is in core/output/hub."""

from pathlib import Path
from typing import Any

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from tasks.core.answering.run import Run
from tasks.core.data.reader import open_reader
from tasks.core.output.hub.card import Pushed
from tasks.core.output.hub.push import Target, push
from tasks.core.output.hub.shards import media_of
from tasks.core.text import one_line


@task(name="push_result", task_run_name="push to the Hub", cache_policy=NO_CACHE, persist_result=False)
def push_result(run: Run, target: Target, result: Pushed, table: Path) -> str | State[Any]:
    """Push what `table` holds, with the run's media. What goes wrong is no exception but a Failed state."""
    media = open_reader(run.data).media
    try:
        return push(target, result, table, media_of(media) if media else None)
    except Exception as error:  # the Hub's library raises its own, its HTTP client's, and ValueError
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error  # of an upload
        return Failed(message=one_line(str(cause)) or type(cause).__name__)
