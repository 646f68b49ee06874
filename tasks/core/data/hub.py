"""Finds a data set of the Hub, and the files of its splits; remote/ fetches and opens them."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.core.data.formats.contents import Contents, contents_of
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import check_single, names_in
from tasks.core.data.locate import NOT_FOUND
from tasks.core.data.remote.asked import Asked
from tasks.core.data.remote.fetched import open_fetched
from tasks.core.data.remote.of_hub import OfHub
from tasks.core.data.remote.parquet_rows import already_staged
from tasks.core.data.rows import Rows
from tasks.core.data.selecting import select
from tasks.core.data.selection import Selection
from tasks.core.errors import InputError
from tasks.core.text import closest, one_line

PRIVATE = "a private or gated data set needs HUGGINGFACE_TOKEN in .env"


def commit_of(name: str, revision: str | None) -> str | None:
    """The commit that `revision` is today, so that every machine and every resume reads the same rows.

    Raises:
        InputError: there is none, or the Hub cannot be reached or refuses it.
    """
    if constants.HF_HUB_OFFLINE:
        return revision
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    where = f"{name!r}" + (f" at revision {revision!r}" if revision else "")
    try:
        return HfApi().dataset_info(name, revision=revision, token=token).sha
    except RevisionNotFoundError:
        raise InputError(f"{name!r} has no revision {revision!r} on the Hub", NOT_FOUND) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise InputError(f"{where} does not exist on the Hub or on this machine; {PRIVATE}", NOT_FOUND) from None
    except HfHubHTTPError as error:
        way_out = PRIVATE if error.response.status_code in (401, 403) else "try again later"
        raise InputError(f"the Hub refused {where}: {one_line(str(error))}; {way_out}", NOT_FOUND) from None
    except Exception as error:  # the HTTP client's own, which is not always the same one
        raise InputError(f"the Hub cannot be reached for {where}: {error}", type(error).__name__) from None


def open_hub(
    dataset: str,
    config_name: str | None,
    revision: str | None,
    spec: str,
    reading: Reading,
    selection: Selection,
    token: str | None,
) -> Rows:
    """The rows that `spec` and `selection` ask for of a data set at a commit. No file of another split is fetched.

    Raises:
        InputError: a file cannot be read whole, or there is no room for it.
        ValueError: there is no such split; and whatever datasets raises on what it does not find.
    """
    asked = Asked(dataset, config_name, revision, spec, selection, reading)
    if rows := already_staged(asked):
        return rows
    if constants.HF_HUB_OFFLINE and (fetched := _fetched(dataset, revision)):
        return open_fetched(replace(asked, revision=fetched.name), fetched)
    builder = datasets.load_dataset_builder(dataset, config_name, revision=revision, token=token)
    splits = _splits(builder, spec)
    if not splits:
        table = datasets.load_dataset(dataset, config_name, split=spec, revision=revision, token=token)
        return select(table, selection, spec)
    return OfHub(asked, builder, splits, token).open()


def _splits(builder: Any, spec: str) -> dict[str, Contents]:
    """What the files of each split in `spec` are; nothing where datasets knows of no files."""
    files = {str(split): [Path(file) for file in found] for split, found in (builder.config.data_files or {}).items()}
    check_single(spec)
    if files and (unknown := [name for name in names_in(spec) if name not in files]):
        raise ValueError(f"Unknown split {unknown[0]!r}. Should be one of {list(files)}{closest(unknown[0], files)}")
    return {name: contents_of(files[name]) for name in names_in(spec) if files}


def _fetched(dataset: str, revision: str | None) -> Path | None:
    """The folder of a commit's files that an earlier run has fetched; without a revision that of the last one."""
    commits = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}" / "snapshots"
    if revision:
        return commits / revision if (commits / revision).is_dir() else None
    return max(
        (each for each in commits.glob("*") if each.is_dir()), key=lambda each: each.stat().st_mtime, default=None
    )
