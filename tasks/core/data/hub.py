"""Opens a data set of the Hub. Its CSV, JSON and text files are fetched and read as local ones are, cell by cell."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from huggingface_hub import constants, hf_hub_download

from tasks.core.data.formats.cards import is_plain, reading_of
from tasks.core.data.formats.contents import Contents, Kind, contents_of
from tasks.core.data.formats.files import open_rows
from tasks.core.data.formats.folders import open_folder
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced

_FILE = re.compile(r"hf:/datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")  # as a Path: one slash


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
