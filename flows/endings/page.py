"""The HTML report that a run leaves beside its CSV. It may take its time, and nothing waits for it or fails with it."""

from pathlib import Path

from prefect import runtime

from flows.notices import trouble_told
from tasks.core.config.parameters import RunConfig
from tasks.core.config.program import Program, command
from tasks.core.files.own_results import Origin
from tasks.core.output.columns import about_of
from tasks.core.output.job_result import JobResult
from tasks.core.output.report.of_job import report_of
from tasks.core.output.result import Written
from tasks.core.planning.attempt import Attempt
from tasks.core.reporting.tally import Tally
from tasks.report import tell_report


def write_page(
    config: RunConfig, attempt: Attempt, tally: Tally, origin: Origin, written: Written | None
) -> Path | None:
    """Write it where there is a CSV; returns where it is."""
    if written is None:
        return None
    run = attempt.run
    about = about_of(config, origin, attempt.costs.price)
    result = JobResult(config, run.data, run.prompting, attempt.answers, about, tally)
    with trouble_told(f"the HTML report, which {command(Program.REPORT)} makes again,"):
        page = report_of(result, written.path, None if runtime.deployment.id else Path.cwd(), is_written=True)
        tell_report(page)
        return page
    return None
