"""Opens a data set, wherever it lives, as one split of rows. Must not read an image or send anything.

Everything a user can get wrong here (a path, a name, a split, a column) is an InputError of one line.
"""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict, Features, LargeList, List
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.core.config.parameters import RunConfig
from tasks.core.data.datasets_internals import (
    NO_CONFIG,
    NO_ROWS,
    NO_SPLIT,
    fingerprint_of,
    is_read_from_a_file,
    without_bars,
    without_logs,
)
from tasks.core.data.formats.folders import open_file, open_folder, unpacked_roots
from tasks.core.data.formats.foreign import identity
from tasks.core.data.formats.rows import Reading
from tasks.core.data.formats.splits import names_in, sliced
from tasks.core.data.formats.text_lines import COLUMN
from tasks.core.data.hub import open_hub
from tasks.core.data.locate import NOT_FOUND, locate
from tasks.core.errors import InputError

PRIVATE = "a private or gated data set needs HUGGINGFACE_TOKEN in .env"


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """Which rows a run is about, small enough to send to another machine, which opens the same ones.

    `rows` counts the samples of the run. An image path may only lead into one of `image_roots`;
    relative ones start at the first. `fingerprint` changes when the data is edited between two runs of one process.
    `encoding` and `delimiter` are those of the flags.
    """

    dataset: str
    dataset_config: str | None
    revision: str | None
    split: str
    text_column: str
    image_column: str | None
    id_column: str | None
    rows: int
    image_roots: tuple[str, ...]
    fingerprint: str
    encoding: str | None = None
    delimiter: str | None = None


def resolve(config: RunConfig) -> DatasetRef:
    """Find the data set and check its columns.

    Raises:
        InputError: it cannot be found or opened, or the split or a column does not exist.
    """
    name, path = config.dataset or "", locate(config.dataset)
    dataset = str(path) if path else name
    revision = config.revision if path else _commit(name, config.revision)
    table = load(dataset, config.dataset_config, revision, config.split, config.encoding, config.delimiter)
    columns = table.column_names
    where = f"{name} ({config.split})"
    ref = DatasetRef(
        dataset=dataset,
        dataset_config=config.dataset_config,
        revision=revision,
        split=config.split,
        text_column=_text_column(config.text_column, columns, where),
        image_column=_optional("image_column", config.image_column, columns, where),
        id_column=_optional("id_column", config.id_column, columns, where),
        rows=len(table) if config.limit is None else min(len(table), config.limit),
        image_roots=_image_roots(dataset, config),
        fingerprint=_fingerprint(table),
        encoding=config.encoding,
        delimiter=config.delimiter,
    )
    _check_media(ref, table.features)
    return ref


def load(
    dataset: str,
    config_name: str | None,
    revision: str | None,
    split: str,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> Dataset:
    """One split of `dataset` (an absolute local path or a Hub id), memory-mapped.

    Raises:
        InputError: as for `resolve`.
    """
    is_here, reading = Path(dataset).exists(), Reading(encoding, delimiter)
    try:
        with without_logs(), without_bars() if is_here else nullcontext():  # the bar is for downloads
            return (
                _load_here(Path(dataset), config_name, split, reading)
                if is_here
                else _load_from_hub(dataset, config_name, revision, split, reading)
            )
    except InputError:
        raise
    except ValueError as error:
        if NO_ROWS in str(error):
            return Dataset.from_dict({})
        raise InputError(_explain_split(error, dataset, config_name, revision, split)) from None
    except datasets.exceptions.DatasetNotFoundError as error:
        raise InputError(f"{error}; {PRIVATE}", NOT_FOUND) from None
    except Exception as error:  # a reader may raise anything on data that is not what it expects
        raise InputError(f"{dataset} cannot be read: {error.__cause__ or error}", type(error).__name__) from None


def _load_here(path: Path, config_name: str | None, split: str, reading: Reading) -> Dataset:
    if path.is_file():
        return open_file(path, split, reading)
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _load_saved(path, split)
    return open_folder(path, config_name, split, reading)


@lru_cache(maxsize=4)  # a commit does not change, and each look costs several requests
def _load_from_hub(name: str, config_name: str | None, revision: str | None, split: str, reading: Reading) -> Dataset:
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    return open_hub(name, config_name, revision, split, reading, token)


def _load_saved(path: Path, split: str) -> Dataset:
    """A folder written by `save_to_disk`: several splits, or one, which is the requested split."""
    saved = datasets.load_from_disk(str(path))
    tables = saved if isinstance(saved, DatasetDict) else DatasetDict({names_in(split)[0]: saved})

    def open_split(name: str) -> Dataset:
        if name not in tables:
            raise InputError(f"split {name!r} is not in {path}; splits: {', '.join(tables)}")
        return tables[name]

    return sliced(split, open_split)


def _commit(name: str, revision: str | None) -> str | None:
    """The commit that `revision` is today, so that every machine and every resume reads the same rows."""
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


def _explain_split(error: ValueError, dataset: str, config: str | None, revision: str | None, split: str) -> str:
    if any(text in str(error) for text in NO_CONFIG):
        return f"--dataset-config {config!r}: {error}"
    if NO_SPLIT not in str(error):
        return f"{dataset} cannot be opened with split {split!r}: {error}"
    return f"split {split!r} is not in {dataset}: {error}"


def _fingerprint(table: Dataset) -> str:
    """Another one when a file that the rows are read from is written or replaced, whatever its time and size."""
    files = sorted({file["filename"] for file in table.cache_files})
    return "-".join([fingerprint_of(table), *map(identity, files)])


def _text_column(name: str, columns: list[str], where: str) -> str:
    """`name`; where it is only the default, the one column that lines of text have."""
    if columns == [COLUMN] and name == RunConfig.model_fields["text_column"].default:
        return COLUMN
    return _required("text_column", name, columns, where)


def _required(parameter: str, name: str, columns: list[str], where: str) -> str:
    if columns and name not in columns:
        raise InputError(f"{parameter}={name!r} is not in {where}; columns: {', '.join(columns)}")
    return name


def _optional(parameter: str, name: str | None, columns: list[str], where: str) -> str | None:
    """`name`, or None where it is only the default of a column that the data set does not have."""
    if name is None or (name not in columns and name == RunConfig.model_fields[parameter].default):
        return None
    return _required(parameter, name, columns, where)


def _check_media(ref: DatasetRef, features: Features) -> None:
    """Raises InputError where a column holds what its flag does not send.

    datasets would open the file, pipe or URL that such a cell names as soon as the row is read as text.
    """
    for flag, name in (("--text-column", ref.text_column), ("--id-column", ref.id_column)):
        if kind := _media(features.get(name)):
            alone = isinstance(features[name], datasets.Image)
            way_out = f"--image-column {name} sends it" if alone else "name another column"
            raise InputError(f"{flag} {name} {_holds(features[name], kind)}, which is no text; {way_out}")
    kind = _media(features.get(ref.image_column))
    if kind not in (None, datasets.Image.__name__):
        holds = _holds(features[ref.image_column], kind)
        raise InputError(f"--image-column {ref.image_column} {holds}, and only images are sent; name another column")


def _media(feature: Any) -> str | None:
    """The first feature in `feature`, at any depth, that datasets decodes from a file: Image, Audio, Video, Pdf, …"""
    if isinstance(feature, dict):
        inner: Iterable[Any] = feature.values()
    elif isinstance(feature, List | LargeList):
        inner = [feature.feature]
    else:
        return type(feature).__name__ if is_read_from_a_file(feature) else None
    return next(filter(None, map(_media, inner)), None)


def _holds(feature: Any, kind: str | None) -> str:
    """`is an Image`, `holds a Video`: alone in its cell or deeper in it."""
    verb = "is" if type(feature).__name__ == kind else "holds"
    return f"{verb} {'an' if str(kind)[0] in 'AEIOU' else 'a'} {kind}"


def _image_roots(dataset: str, config: RunConfig) -> tuple[str, ...]:
    """The folders that image paths may lead into: the data's own, on the Hub its corner of the cache."""
    path = Path(dataset)
    if path.exists():
        own = str(path if path.is_dir() else path.parent)
        return (*unpacked_roots(path, config.dataset_config, config.split), own)
    repo = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"
    return (str(repo), str(datasets.config.DOWNLOADED_DATASETS_PATH))
