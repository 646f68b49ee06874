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
import pandas as pd
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, Features, Json, LargeList, List, ReadInstruction, Value
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tasks.core.config.parameters import RunConfig
from tasks.core.data.data_files import data_files
from tasks.core.data.datasets_internals import (
    NO_CONFIG,
    NO_ROWS,
    NO_SPLIT,
    fingerprint_of,
    format_of,
    is_read_from_a_file,
    without_bars,
    without_logs,
)
from tasks.core.data.locate import BUILDERS, NOT_FOUND, locate
from tasks.core.errors import InputError

PRIVATE = "a private or gated data set needs HUGGINGFACE_TOKEN in .env"


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """Which rows a run is about, small enough to send to another machine, which opens the same ones.

    `rows` counts the samples of the run. An image path may only lead into one of `image_roots`;
    relative ones start at the first. `fingerprint` changes when the data is edited between two runs of one process.
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


def resolve(config: RunConfig) -> DatasetRef:
    """Find the data set and check its columns.

    Raises:
        InputError: it cannot be found or opened, or the split or a column does not exist.
    """
    name, path = config.dataset or "", locate(config.dataset)
    dataset = str(path) if path else name
    revision = config.revision if path else _commit(name, config.revision)
    table = load(dataset, config.dataset_config, revision, config.split)
    columns = table.column_names
    where = f"{name} ({config.split})"
    ref = DatasetRef(
        dataset=dataset,
        dataset_config=config.dataset_config,
        revision=revision,
        split=config.split,
        text_column=_required("text_column", config.text_column, columns, where),
        image_column=_optional("image_column", config.image_column, columns, where),
        id_column=_optional("id_column", config.id_column, columns, where),
        rows=len(table) if config.limit is None else min(len(table), config.limit),
        image_roots=_image_roots(dataset),
        fingerprint=fingerprint_of(table),
    )
    _check_media(ref, table.features)
    return ref


def load(dataset: str, config_name: str | None, revision: str | None, split: str) -> Dataset:
    """One split of `dataset` (an absolute local path or a Hub id), memory-mapped.

    Raises:
        InputError: as for `resolve`.
    """
    is_here = Path(dataset).exists()
    try:
        with without_logs(), without_bars() if is_here else nullcontext():  # the bar is for downloads
            return (
                _load_here(Path(dataset), config_name, split)
                if is_here
                else _load_from_hub(dataset, config_name, revision, split)
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


def _load_here(path: Path, config_name: str | None, split: str) -> Dataset:
    if path.is_file():
        return _load_file(path, split)
    if (path / "state.json").exists() or (path / "dataset_dict.json").exists():
        return _load_saved(path, split)
    return _load_folder(str(path), config_name, split)


@lru_cache(maxsize=4)  # a commit does not change, and each look costs several requests
def _load_from_hub(name: str, config_name: str | None, revision: str | None, split: str) -> Dataset:
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    return _one(datasets.load_dataset(name, config_name, split=split, revision=revision, token=token))


def _load_file(path: Path, split: str) -> Dataset:
    builder = BUILDERS[path.suffix.lower()]
    if path.stat().st_size == 0 or (builder == "parquet" and pq.read_metadata(path).num_rows == 0):
        return Dataset.from_dict({})
    files = {split.split("[")[0]: str(path)}
    options = _text_columns(path) if builder == "csv" else {}
    if builder == "csv" and not _has_rows(path):
        return Dataset.from_dict({name: [] for name in options["features"]})
    table = _one(datasets.load_dataset(builder, data_files=files, split=split, **options))
    if builder == "json" and (features := _without_dates(table.features)):
        table = _one(datasets.load_dataset(builder, data_files=files, split=split, features=features))
    return table


def _load_folder(folder: str, config_name: str | None, split: str) -> Dataset:
    chosen = data_files(folder, config_name)
    builder = datasets.load_dataset_builder(folder, config_name, data_files=chosen)
    files = [file for part in (builder.config.data_files or {}).values() for file in part]
    options = _text_columns(Path(files[0])) if format_of(builder) == "csv" and Path(files[0]).is_file() else {}
    table = _one(datasets.load_dataset(folder, config_name, data_files=chosen, split=split, **options))
    if format_of(builder) == "json" and (features := _without_dates(table.features)):
        table = _one(datasets.load_dataset(folder, config_name, data_files=chosen, split=split, features=features))
    return table


def _one(table: Any) -> Dataset:
    if not isinstance(table, Dataset):
        raise InputError(f"expected one split, got {type(table).__name__}; name a single split")
    return table


def _text_columns(file: Path) -> dict[str, Any]:
    """Options that read a CSV's cells as they are written: `007` and `NA` are text, not 7 and nothing."""
    columns = pd.read_csv(file, nrows=0).columns
    return {"features": Features({name: Value("string") for name in columns}), "keep_default_na": False}


def _has_rows(path: Path) -> bool:
    return len(pd.read_csv(path, nrows=1)) > 0


def _without_dates(features: Features) -> Features | None:
    """The features without dates, which JSON does not have; None where there is nothing to change.

    Json keeps a value as it is written; as a string column, `2024-01-01` would become `2024-01-01 00:00:00`.
    """
    dates = [name for name, kind in features.items() if str(getattr(kind, "dtype", "")).startswith("timestamp")]
    return Features(features | {name: Json() for name in dates}) if dates else None


def _load_saved(path: Path, split: str) -> Dataset:
    """A folder written by `save_to_disk`: several splits, or one, which is the requested split."""
    saved = datasets.load_from_disk(str(path))
    name = split.split("[")[0].split("+")[0]
    tables = saved if isinstance(saved, DatasetDict) else DatasetDict({name: saved})
    if name not in tables:
        raise InputError(f"split {name!r} is not in {path}; splits: {', '.join(tables)}")
    spans = ReadInstruction.from_spec(split).to_absolute({key: len(table) for key, table in tables.items()})
    parts = [tables[s.splitname].select(range(s.from_ or 0, _end(s.to, tables[s.splitname]))) for s in spans]
    if not parts:  # no rows
        return tables[name].select(range(0))
    return datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]


def _end(stop: int | None, table: Dataset) -> int:
    return len(table) if stop is None else stop


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


def _image_roots(dataset: str) -> tuple[str, ...]:
    """The folders that image paths may lead into: the data's own, on the Hub its corner of the cache."""
    path = Path(dataset)
    if path.exists():
        return (str(path if path.is_dir() else path.parent),)
    repo = Path(constants.HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"
    return (str(repo), str(datasets.config.DOWNLOADED_DATASETS_PATH))
