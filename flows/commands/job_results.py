"""What a checkpoint has kept of a job, made into its CSV or its report. Sends nothing."""

from pathlib import Path
from typing import NamedTuple

from flows.commands.jobs import the_job
from tasks.core.checkpoint.layout import Storage
from tasks.core.checkpoint.pool import read_pool
from tasks.core.data.sources import resolve
from tasks.core.errors import InputError
from tasks.core.output.columns import about_of
from tasks.core.output.forms.form import forms_of
from tasks.core.output.job_result import JobResult
from tasks.core.output.place import csv_path
from tasks.core.output.report.of_job import report_of
from tasks.core.output.result import write_result
from tasks.core.planning.job import origin_of
from tasks.core.planning.job_costs import price_for
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind
from tasks.core.reporting.tally import Tally
from tasks.core.text import counted


class Found(NamedTuple):
    """`csv`: where the CSV of the result goes."""

    result: JobResult
    csv: Path


def read_result(storage: Storage, text: str, flag: str, output_dir: str | None = None) -> Found:
    """The result of the one job whose key or name has `text` in it, which `flag` has brought.

    Raises:
        InputError: there is no such job, or several, or its data cannot be opened.
    """
    key, manifest, config = the_job(storage, text, flag)
    config = config.model_copy(update={"limit": None})
    data = resolve(config)
    prompting = prompting_of(config, data)
    answers = read_pool(storage, key).table
    answers.matching.ask(sample_keys(data, Preparer(config.generation, prompting.draft_of)))
    answers.matching.match(share=config.dedupe)
    answers.matching.match_failures()
    answers.matching.forget_candidates()
    tally = Tally.of_groups(answers.rows.groups())
    if missing := data.rows - tally.rows:
        tally.kinds[Kind.UNSENT] += missing
        tally.retryable += missing
    path = csv_path(output_dir or config.output_dir, config.model, config.split, config.demo).absolute()
    origin = origin_of(config, data).model_copy(update={"attempt": manifest.attempt})
    about = about_of(config, origin, price_for(config))
    return Found(JobResult(config, data, prompting, answers.rows, about, tally), path)


class MadeCsv(NamedTuple):
    """What is in it, and that in words with where it is."""

    tally: Tally
    words: str


def write_csv(storage: Storage, text: str, flag: str, output_dir: str | None) -> MadeCsv:
    """Make the CSV of the job that `flag` names by `text`, and the report beside it.

    Raises:
        InputError: see read_result; or it cannot be written.
    """
    result, path = read_result(storage, text, flag, output_dir)
    tally = result.tally
    try:
        written = write_result(
            path,
            result.about,
            result.rows(),
            successes=tally.successes,
            retryable=tally.retryable,
            forms=forms_of(result.config),
        )
    except OSError as error:
        raise InputError(f"--output-dir {path.parent}: {error.strerror or error}", type(error).__name__) from None
    try:
        report = str(report_of(result, written.path, Path.cwd(), is_written=True))
    except OSError as error:
        report = f"cannot be written: {error.strerror or error}"
    return MadeCsv(tally, f"{counted(tally.rows, 'row')}: {tally}. CSV: {written}. Report: {report}")


def write_report(storage: Storage, text: str, output_dir: str | None) -> str:
    """Make the report of a job; returns what is in it and where it is.

    Raises:
        InputError: see read_result; or it cannot be written.
    """
    result, path = read_result(storage, text, "report", output_dir)
    try:
        report = report_of(result, path, Path.cwd(), is_written=False)
    except OSError as error:
        raise InputError(f"--output-dir {path.parent}: {error.strerror or error}", type(error).__name__) from None
    return f"{counted(result.tally.rows, 'row')}: {result.tally}. Report: {report}"
