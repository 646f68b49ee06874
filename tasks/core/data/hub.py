"""Opens a data set of the Hub. Its CSV, JSON and text files are fetched and read as local ones are, cell by cell."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.core.data.formats.cards import is_plain, reading_of
from tasks.core.data.formats.contents import Contents, Kind, contents_of
from tasks.core.data.formats.files import open_rows
from tasks.core.data.formats.folders import open_folder
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced
from tasks.core.data.locate import NOT_FOUND
from tasks.core.errors import InputError

PRIVATE = "a private or gated data set needs HUGGINGFACE_TOKEN in .env"
_FILE = re.compile(r"hf:/datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")  # as a Path: one slash


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
        raise InputError(f"the Hub refused {where}: {error}; {PRIVATE}", NOT_FOUND) from None
    except Exception as error:  # the HTTP client's own, which is not always the same one
        raise InputError(f"the Hub cannot be reached for {where}: {error}", type(error).__name__) from None


def open_hub(
    dataset: str, config_name: str | None, revision: str | None, spec: str, reading: Reading, token: str | None
) -> Dataset:
    """The rows that `spec` asks for of a data set at a commit.

    Raises:
        InputError: a file cannot be read whole.
        ValueError: there is no such split; and whatever datasets raises on what it does not find.
    """
    if constants.HF_HUB_OFFLINE and (fetched := _fetched(dataset, revision)):
        return open_folder(fetched, config_name, spec, reading)
    builder = datasets.load_dataset_builder(dataset, config_name, revision=revision, token=token)
    splits = _splits(builder, spec)
    written = reading_of(builder.config, reading)
    if splits and is_plain(builder.config) and all(each.kind is Kind.ROWS for each in splits.values()):
        declared = builder.info.features
        return sliced(spec, lambda name: open_rows(_downloaded(splits[name].files, token), name, written, declared))
    table = datasets.load_dataset(dataset, config_name, split=spec, revision=revision, token=token)
    if not any(each.metadata for each in splits.values()):
        return table
    cells = sliced(spec, lambda name: open_rows(_downloaded(splits[name].metadata, token), name, written))
    return with_metadata(table, cells, dataset)


def _splits(builder: Any, spec: str) -> dict[str, Contents]:
    """What the files of each split in `spec` are; nothing where datasets knows of no files."""
    files = {str(split): [Path(file) for file in found] for split, found in (builder.config.data_files or {}).items()}
    if files and (unknown := [name for name in names_in(spec) if name not in files]):
        raise ValueError(f"Unknown split {unknown[0]!r}. Should be one of {list(files)}.")
    return {name: contents_of(files[name]) for name in names_in(spec) if files}


def _downloaded(files: Sequence[Path], token: str | None) -> list[Path]:
    """Files of the Hub on this machine, under their own names."""
    places = [place for file in files if (place := _FILE.fullmatch(str(file)))]
    assert len(places) == len(files)
    return [
        Path(
            hf_hub_download(place["repo"], place["path"], repo_type="dataset", revision=place["revision"], token=token)
        )
        for place in places
    ]


def _fetched(dataset: str, revision: str | None) -> Path | None:
    """The folder of a commit's files that an earlier run has fetched; without a revision that of the last one."""
    commits = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}" / "snapshots"
    if revision:
        return commits / revision if (commits / revision).is_dir() else None
    return max(
        (each for each in commits.glob("*") if each.is_dir()), key=lambda each: each.stat().st_mtime, default=None
    )
