"""The tasks that write the CSV and tell Prefect's UI what is in it. Wiring only; the work is in core."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import State, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from tasks.core import escaping
from tasks.core.output.lines import frames
from tasks.core.output.ours import Origin
from tasks.core.output.result import Written, write_result
from tasks.core.records import RowResult
from tasks.core.report import Tally, summary_markdown
from tasks.core.sources import DatasetRef
from tasks.dataset import open_reader


@task(name="assemble_csv", cache_policy=NO_CACHE, persist_result=False)
def assemble_csv(
    data: DatasetRef, results: Mapping[int, RowResult], path: Path, origin: Origin
) -> Written | State[Any]:
    """Write one line per sample, in the order of the data set; `results` holds every row. See write_result.

    A folder that cannot be written is no exception but a Failed state, whose message says why.
    """
    tally = Tally.of(results.values())
    lines = frames(open_reader(data), results)
    try:
        written = write_result(path, origin, lines, successes=tally.successes, retryable=tally.open)
    except OSError as error:
        return Failed(message=f"{path} cannot be written: {error.strerror or error}")
    if written.moved:
        get_run_logger().warning("%s: %s", written.path, written.note)
    return written


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(name: str, model: str, results: Mapping[int, RowResult], rows: int, path: Path | None) -> None:
    """What became of the data set's `rows`, and the CSV if there is one, as artifacts in the Prefect UI."""
    tally = Tally.of(results.values())
    markdown = summary_markdown(f"{name}, {model}", tally, rows, path, results.values())
    title = escaping.markdown(f"{name}, {model}")
    create_markdown_artifact(markdown, key="infer-summary", description=f"{title}: {tally}")
    if path:
        text = escaping.markdown(path.name)
        create_link_artifact(path.as_uri(), text, key="infer-csv", description=f"CSV of {title}")
