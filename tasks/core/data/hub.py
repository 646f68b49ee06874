"""Opens a data set of the Hub. Its CSV, JSON and text files are fetched and read as local ones are, cell by cell."""

import re
from collections.abc import Sequence
from pathlib import Path

import datasets
from datasets import Dataset
from huggingface_hub import constants, hf_hub_download

from tasks.core.data.formats.cards import is_plain, reading_of
from tasks.core.data.formats.contents import Kind, contents_of
from tasks.core.data.formats.files import open_rows
from tasks.core.data.formats.folders import open_folder
from tasks.core.data.formats.images import with_metadata
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced

_FILE = re.compile(r"hf://datasets/(?P<repo>[^@]+)@(?P<revision>[^/]+)/(?P<path>.+)")


def open_hub(
    dataset: str, config_name: str | None, revision: str | None, spec: str, reading: Reading, token: str | None
) -> Dataset:
    """The rows that `spec` asks for of a data set at a commit.

    Raises:
        InputError: a file cannot be read whole; and whatever datasets raises on what it does not find.
    """
    if constants.HF_HUB_OFFLINE and (fetched := _fetched(dataset, revision)):
        return open_folder(fetched, config_name, spec, reading)
    builder = datasets.load_dataset_builder(dataset, config_name, revision=revision, token=token)
    files = {str(split): list(found) for split, found in (builder.config.data_files or {}).items()}
    names = names_in(spec)
    if unknown := [name for name in names if files and name not in files]:
        raise ValueError(f'Unknown split "{unknown[0]}". Should be one of {list(files)}.')
    kinds = {name: contents_of([Path(file) for file in files[name]]) for name in names if files}
    as_written = reading_of(builder.config, reading)
    if kinds and is_plain(builder.config) and all(found.kind is Kind.ROWS for found in kinds.values()):
        wanted = {name: {str(path) for path in found.files} for name, found in kinds.items()}

        def open_split(name: str) -> Dataset:
            paths = _downloaded([file for file in files[name] if str(Path(file)) in wanted[name]], token)
            return open_rows(paths, name, as_written, builder.info.features)

        return sliced(spec, open_split)
    table = datasets.load_dataset(dataset, config_name, split=spec, revision=revision, token=token)
    if not any(found.metadata for found in kinds.values()):
        return table

    def metadata(name: str) -> Dataset:
        described = {str(path) for path in kinds[name].metadata}
        return open_rows(_downloaded([f for f in files[name] if str(Path(f)) in described], token), name, as_written)

    return with_metadata(table, sliced(spec, metadata), dataset)


def _downloaded(files: Sequence[str], token: str | None) -> list[Path]:
    """Files of the Hub on this machine, under their own names."""
    places = [_FILE.fullmatch(file) for file in files]
    assert all(places)
    return [
        Path(
            hf_hub_download(place["repo"], place["path"], repo_type="dataset", revision=place["revision"], token=token)
        )
        for place in places
        if place
    ]


def _fetched(dataset: str, revision: str | None) -> Path | None:
    """The folder of a commit's files that an earlier run has fetched; without a revision that of the last one."""
    commits = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}" / "snapshots"
    if revision:
        return commits / revision if (commits / revision).is_dir() else None
    return max(
        (each for each in commits.glob("*") if each.is_dir()), key=lambda each: each.stat().st_mtime, default=None
    )
