"""The tasks that write the CSV and tell Prefect's UI what is in it. Wiring only; the work is in core."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import State, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Failed

from tasks.core.answering.run import Run
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.data.reader import open_reader
from tasks.core.output.columns import About
from tasks.core.output.forms.form import Form
from tasks.core.output.result import Written, write_result
from tasks.core.output.rows import result_rows
from tasks.core.reporting.tally import Tally


@task(name="assemble_csv", task_run_name="write the CSV", cache_policy=NO_CACHE, persist_result=False)
def assemble_csv(
    run: Run, answers: RunRows, tally: Tally, path: Path, about: About, forms: Sequence[Form]
) -> Written | State[Any]:
    """Write one row per sample, in the order of the data set. `tally`: what `answers` come to. See write_result.

    A folder that cannot be written is no exception but a Failed state, whose message says why.
    """
    rows = result_rows(open_reader(run.data), answers, run.prompting.text_of)
    retryable = tally.retryable + run.data.rows - tally.rows
    try:
        written = write_result(path, about, rows, successes=tally.successes, retryable=retryable, forms=forms)
    except OSError as error:
        return Failed(message=f"{path} cannot be written: {error.strerror or error}")
    if written.note:
        get_run_logger().info("%s: %s", written.path, written.note)
    return written
