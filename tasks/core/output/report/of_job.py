"""The report of a job's result, beside its CSV."""

from pathlib import Path

from tasks.core.data.reader import open_reader
from tasks.core.output.forms.form import PARQUET
from tasks.core.output.job_result import JobResult
from tasks.core.output.place import beside
from tasks.core.output.report.making import Subject, write_report
from tasks.core.output.report.placing import place_report
from tasks.core.output.report.thumbnails import Thumbnails, media_of_rows


def report_of(result: JobResult, csv: Path, folder: Path | None, *, is_written: bool) -> Path:
    """Write it; returns where it is.

    `folder`: where the commands in it are to be typed, if it is known. `is_written`: whether `csv` and the table beside
    it hold this very result.

    Raises:
        OSError: it cannot be written.
    """
    reader, images = open_reader(result.data), result.tally.images
    thumbnails = Thumbnails(media_of_rows(reader, result.preparer), images) if images and reader.media else None
    subject = Subject(_title(result), csv, result.config, result.about.price, folder)
    rows = result.rows_as_written(beside(csv, PARQUET.suffix)) if is_written else result.rows()
    return place_report(csv, result.about.origin, lambda file: write_report(file, subject, rows, thumbnails))


def _title(result: JobResult) -> str:
    data = result.data
    name = data.dataset if data.is_on_hub else Path(data.dataset).name
    return " · ".join(filter(None, [name, data.dataset_config, data.split, result.config.model]))
