"""Writes the CSV, whole or not at all, and tells Prefect's UI what is in it."""

import csv
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.core import escaping
from tasks.core.errors import InputError
from tasks.core.records import RowResult, Sample
from tasks.core.report import Tally, summary_markdown
from tasks.core.sources import DatasetRef
from tasks.dataset import open_reader

COLUMNS = ["id", "input_query", "has_image", "response", "status", "error_message"]


def csv_path(output_dir: str, model: str, split: str) -> Path:
    """`{output-dir}/{model}_{split}_result.csv`, without characters that a file name cannot hold."""
    name = re.sub(r"[^\w.\[\]%+-]", "_", f"{model}_{split}_result.csv")
    return Path(output_dir).expanduser() / name


def check_writable(path: Path) -> None:
    """Raises InputError where the CSV could not be written at the end of a long run."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
    except OSError as error:
        raise InputError(f"--output-dir {path.parent}: {error.strerror or error}", type(error).__name__) from None


@task(name="assemble_csv", cache_policy=NO_CACHE, persist_result=False)
def assemble_csv(data: DatasetRef, results: Mapping[int, RowResult], path: Path) -> Path:
    """Write one line per sample, in the order of the data set. Returns where it was written.

    `results` holds every row. A CSV with more successes than an unfinished run is left alone: the run's own
    goes beside it, as `…_unfinished.csv`.
    """
    tally = Tally.of(results.values())
    if tally.open and _successes(path) > tally.successes:
        path = path.with_name(f"{path.stem}_unfinished.csv")
    write_csv(path, _frames(data, results))
    return path


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


def write_csv(path: Path, frames: Iterable[pd.DataFrame]) -> None:
    """UTF-8 with a header; replaces `path` only when it is complete and on disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".infer-")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            pd.DataFrame(columns=COLUMNS).to_csv(file, index=False)
            for frame in frames:
                frame.to_csv(file, index=False, header=False, quoting=_quoting(frame))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o666 & ~_umask())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _frames(data: DatasetRef, results: Mapping[int, RowResult]) -> Iterator[pd.DataFrame]:
    reader = open_reader(data)
    for span in reader.spans():
        lines = [_line(sample, results[sample.row]) for sample in reader.samples(span)]
        yield pd.DataFrame(lines, columns=COLUMNS)


def _line(sample: Sample, result: RowResult) -> tuple[Any, ...]:
    return sample.id, sample.text, result.has_image, result.response, result.status, result.error_message


def _quoting(frame: pd.DataFrame) -> Any:
    """Python 3.12's csv does not quote a lone carriage return, which readers take for the end of a line."""
    texts = frame[["id", "input_query", "response", "error_message"]]
    lone = any("\r" in str(cell) for column in texts for cell in texts[column])
    return csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _successes(path: Path) -> int:
    """Successes in the CSV of an earlier run; 0 where there is none that can be read."""
    try:
        return int((pd.read_csv(path, usecols=["status"])["status"] == "success").sum())
    except (OSError, ValueError):
        return 0
