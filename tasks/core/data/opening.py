"""Opens one split of a data set that was found, wherever it lives. Reads no image, and looks at no column.

What is wrong with it is an InputError of one line, whatever the reader has raised.
"""

import errno
import os
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import datasets
from datasets import Dataset, DatasetDict

from tasks.core.data.datasets_internals import NO_CONFIG, NO_ROWS, NO_SPLIT, without_bars, without_logs
from tasks.core.data.formats.folders import open_file, open_folder
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced
from tasks.core.data.hub import PRIVATE, open_hub
from tasks.core.data.locate import NOT_FOUND
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import select
from tasks.core.data.selection import ALL, Selection
from tasks.core.errors import InputError, kind_of
from tasks.core.text import closest


def load(
    dataset: str,
    config_name: str | None,
    revision: str | None,
    split: str,
    encoding: str | None = None,
    delimiter: str | None = None,
    selection: Selection = ALL,
) -> Rows:
    """The selected rows of one split of `dataset` (an absolute local path or a Hub id), memory-mapped.

    Raises:
        InputError: it cannot be found or read, or has no such split, or a column that `selection` asks for.
    """
    is_here, reading = Path(dataset).exists(), Reading(encoding, delimiter)
    try:
        with without_logs(), without_bars() if is_here else nullcontext():  # the bar is for downloads
            return (
                select(_load_here(Path(dataset), config_name, split, reading), selection, split)
                if is_here
                else _load_from_hub(dataset, config_name, revision, split, reading, selection)
            )
    except InputError:
        raise
    except ValueError as error:
        if NO_ROWS in str(error):
            return Rows(Dataset.from_dict({}))
        raise InputError(_explain_split(error, dataset, config_name, revision, split)) from None
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(f"{error}; {PRIVATE}", NOT_FOUND) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise _unreadable(dataset, error) from None
        raise InputError(
            f"{dataset} {split} does not fit on the disk: {error}; "
            "pass --limit, a smaller --split, or point HF_HOME at a larger disk",
            "OSError",
        ) from None
    except Exception as error:  # a reader may raise anything on data that is not what it expects
        raise _unreadable(dataset, error) from None


def _unreadable(dataset: str, error: Exception) -> InputError:
    return InputError(f"{dataset} cannot be read: {error.__cause__ or error}", kind_of(error))


def _load_here(path: Path, config_name: str | None, split: str, reading: Reading) -> Dataset:
    if path.is_file():
        return open_file(path, split, reading)
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _load_saved(path, split)
    return open_folder(path, config_name, split, reading)


@lru_cache(maxsize=4)  # a commit does not change, and each look costs several requests
def _load_from_hub(
    name: str, config_name: str | None, revision: str | None, split: str, reading: Reading, selection: Selection
) -> Rows:
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    return open_hub(name, config_name, revision, split, reading, selection, token)


def _load_saved(path: Path, split: str) -> Dataset:
    """A folder written by `save_to_disk`: several splits, or one, which is the requested split."""
    saved = datasets.load_from_disk(str(path))
    tables = saved if isinstance(saved, DatasetDict) else DatasetDict({names_in(split)[0]: saved})

    def open_split(name: str) -> Dataset:
        if name not in tables:
            raise InputError(f"--split {name!r} is not in {path}; splits: {', '.join(tables)}{closest(name, tables)}")
        return tables[name]

    return sliced(split, open_split)


def _explain_split(error: ValueError, dataset: str, config: str | None, revision: str | None, split: str) -> str:
    if any(text in str(error) for text in NO_CONFIG):
        return f"--dataset-config {config!r}: {error}"
    if NO_SPLIT not in str(error):
        return f"{dataset} cannot be opened with --split {split!r}: {error}"
    return f"--split {split!r} is not in {dataset}: {error}"
