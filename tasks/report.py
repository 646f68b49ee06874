"""The task that tells Prefect's UI what became of the rows. Wiring only; the words are in core/reporting."""

from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core import text as escaping
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.reporting.summary import SAMPLE_OF_ERRORS, summary_markdown
from tasks.core.reporting.tally import Tally


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(name: str, model: str, answers: RunRows, tally: Tally, rows: int, path: Path | None, cost: str) -> None:
    """What became of the data set's `rows`, and the CSV if there is one, as artifacts in the Prefect UI."""
    markdown = summary_markdown(f"{name}, {model}", tally, rows, path, answers.failed(SAMPLE_OF_ERRORS), cost)
    title = escaping.markdown(f"{name}, {model}")
    create_markdown_artifact(markdown, key="infer-summary", description=f"{title}: {tally}")
    if path:
        text = escaping.markdown(path.name)
        create_link_artifact(path.as_uri(), text, key="infer-csv", description=f"CSV of {title}")


def link_report(page: Path) -> None:
    """Where the HTML report is, as an artifact of the flow run."""
    create_link_artifact(page.as_uri(), escaping.markdown(page.name), key="infer-report", description="Report")
