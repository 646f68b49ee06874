"""Finds a data set, wherever it lives: which rows a run is about. Must not read an image or send anything.

Everything a user can get wrong here (a path, a name, a split, a column) is an InputError of one line.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import datasets
from huggingface_hub import constants

from tasks.core.config.parameters import RunConfig
from tasks.core.data.columns import Columns, find_columns
from tasks.core.data.formats.folders import unpacked_roots
from tasks.core.data.formats.overlooked import overlooked
from tasks.core.data.hub import commit_of
from tasks.core.data.locate import locate
from tasks.core.data.opening import load
from tasks.core.data.selection import ALL, Selection


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """Which rows a run is about, small enough to send to another machine, which opens the same ones.

    `rows` counts the samples of the run. A media path may only lead into one of `media_roots`;
    relative ones start at the first. `fingerprint` changes when the data is edited between two runs of one process.
    `encoding` and `delimiter` are those of the flags. `fetch_urls`: whether media of the web are.
    `selection`: by settings, never as a list of rows.
    """

    dataset: str
    dataset_config: str | None
    revision: str | None
    split: str
    columns: Columns
    rows: int
    media_roots: tuple[str, ...]
    fingerprint: str
    encoding: str | None = None
    delimiter: str | None = None
    fetch_urls: bool = False
    selection: Selection = ALL

    @property
    def is_on_hub(self) -> bool:
        """Whether relative paths may name files of the repository."""
        return not Path(self.dataset).exists()


def resolve(config: RunConfig) -> DatasetRef:
    """Find the data set and check its columns.

    Raises:
        InputError: it cannot be found or opened, or the split or a column does not exist.
    """
    name, path = config.dataset or "", locate(config.dataset)
    dataset = str(path) if path else name
    revision = config.revision if path else commit_of(name, config.revision)
    selection = Selection(config.where, config.shuffle, config.limit, config.streaming)
    rows = load(dataset, config.dataset_config, revision, config.split, config.encoding, config.delimiter, selection)
    columns = find_columns(config, rows.head)
    left = overlooked(Path(dataset), config.dataset_config, config.split, bool(columns.all_media)) if path else []
    return DatasetRef(
        dataset=dataset,
        dataset_config=config.dataset_config,
        revision=revision,
        split=config.split,
        columns=replace(columns, notices=(*columns.notices, *left)),
        rows=len(rows),
        media_roots=_media_roots(dataset, config),
        fingerprint=rows.fingerprint,
        encoding=config.encoding,
        delimiter=config.delimiter,
        fetch_urls=config.fetch_urls,
        selection=selection,
    )


def _media_roots(dataset: str, config: RunConfig) -> tuple[str, ...]:
    """The folders that image paths may lead into: the data's own, on the Hub its corner of the cache."""
    path = Path(dataset)
    if path.exists():
        own = str(path if path.is_dir() else path.parent)
        return (*unpacked_roots(path, config.dataset_config, config.split), own)
    repo = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"
    return (str(repo), str(datasets.config.DOWNLOADED_DATASETS_PATH))
