"""Where the CSV of a run goes, and whether it can: checked before a request is paid for. Writes nothing that stays."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from tasks.core.config.parameters import RunConfig
from tasks.core.errors import InputError
from tasks.core.files.atomic import make_folder
from tasks.core.files.own_results import SUFFIXES, is_result, note_path

DEMO = "demo"
REPORT = ".html"


def csv_path(output_dir: str, model: str, split: str, demo: bool = False) -> Path:
    """`{output-dir}/{model}_{split}_result.csv`, without characters that a file name cannot hold.

    What a demo makes up goes into a folder of its own.
    """
    folder = Path(output_dir).expanduser()
    return (folder / DEMO if demo else folder) / as_file_name(f"{model}_{split}_result.csv")


def csv_path_of(config: RunConfig) -> Path:
    """Where the CSV of a run with `config` goes."""
    return csv_path(config.output_dir, config.model, config.split, config.demo)


def as_file_name(text: str) -> str:
    return re.sub(r"[^\w.\[\]%+-]", "_", text)


def unfinished_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_unfinished.csv")


def name_without(path: Path, suffix: str) -> str:
    """The name of a file of a result, without what says its form."""
    return path.name.removesuffix(suffix)


def beside(path: Path, suffix: str) -> Path:
    """Where a result whose CSV is `path` has its file of another form."""
    return path.with_name(path.stem + suffix)


def report_path(csv: Path) -> Path:
    """Where the report about a result stands: `…_report.html` beside `…_result.csv`."""
    stem, result, rest = csv.stem.rpartition("_result")
    return csv.with_name(f"{stem}_report{rest}{REPORT}" if result else f"{csv.stem}_report{REPORT}")


def files_of(path: Path) -> list[Path]:
    """All files that a run may write whose CSV is `path`."""
    return [beside(csv, suffix) for csv in (path, unfinished_path(path)) for suffix in SUFFIXES]


def check_writable(path: Path) -> None:
    """Raises InputError where the CSV could not be written at the end of a long run."""
    try:
        make_folder(path.parent)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        with suppress(FileNotFoundError):
            max((note_path(file) for file in files_of(path)), key=lambda note: len(note.name)).lstat()
    except OSError as error:
        raise InputError(f"--output-dir {path.parent}: {error.strerror or error}", type(error).__name__) from None


def check_no_input(path: Path, dataset: str | None) -> None:
    """Raises InputError where the run would write its CSV over the data that it reads."""
    data = Path(os.path.expanduser(dataset or ""))  # noqa: PTH111  # which raises nothing
    for target in files_of(path):
        if dataset and os.path.exists(data) and target.exists() and _reads(data, target):  # noqa: PTH110
            raise InputError(
                f"--dataset {dataset}: the run would write its result over its own data, {target}; "
                f"choose another --output-dir than {path.parent}"
            )


def _reads(data: Path, target: Path) -> bool:
    if data.is_dir():
        return target.resolve().is_relative_to(data.resolve()) and not is_result(target)
    return data.samefile(target)
