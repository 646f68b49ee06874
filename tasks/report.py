"""The task that tells Prefect's UI what became of the rows. Wiring only; the words are in core/reporting.

Files are told by machine and path: no browser follows a link from the UI's page to a file.
"""

import socket
from pathlib import Path

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core.answering.run import Run
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.reporting.sample import sample_of
from tasks.core.reporting.summary import summary_markdown
from tasks.core.reporting.tally import Tally
from tasks.core.text import markdown


@task(name="report", task_run_name="summary", cache_policy=NO_CACHE, persist_result=False)
def report(run: Run, model: str, answers: RunRows, tally: Tally, path: Path | None, cost: str) -> None:
    """What became of the rows of `run`, and where the CSV is if there is one, as artifacts in the Prefect UI."""
    data = run.data.dataset if run.data.is_on_hub else Path(run.data.dataset).name
    name = f"{data}, {model}"
    where = _where(path) if path else ""
    text = summary_markdown(name, tally, run.data.rows, where, sample_of(run, answers), cost)
    create_markdown_artifact(text, key="infer-summary", description=f"{markdown(name)}: {tally}")
    if path:
        create_markdown_artifact(where, key="infer-csv", description=f"CSV of {markdown(name)}")


def tell_report(page: Path) -> None:
    """Where the HTML report is, as an artifact of the flow run."""
    create_markdown_artifact(_where(page), key="infer-report", description="Report")


def _where(path: Path) -> str:
    return markdown(f"{socket.gethostname()}:{path.absolute()}")
