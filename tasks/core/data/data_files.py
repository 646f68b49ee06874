"""Which files of a folder are data: those that datasets chooses, but never our own results.

A result would be read as data, sent, paid for and written as a result again. Where a folder holds none, datasets
chooses alone. Its choice of splits goes by the names of files, so it has to choose without having seen ours.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets import load_dataset_builder
from datasets.data_files import DataFilesDict, DataFilesList

from tasks.core.data.datasets_internals import files_matching, of_one_format, patterns_by_name
from tasks.core.errors import InputError
from tasks.core.files.own_results import is_result

_CARDS = ("README.md", ".huggingface.yaml")  # which may say what the data files are
_NAMED = 5


def results_among(folder: str) -> list[str]:
    """Results of ours that datasets would see in `folder`, in sub folders too."""
    return sorted(file for file in files_matching("**", folder) if is_result(Path(file)))


def data_files(folder: str, config_name: str | None) -> DataFilesDict | None:
    """The data files of each split, or None where datasets may choose alone.

    Raises:
        InputError: there is nothing but results.
    """
    results = frozenset(results_among(folder))
    if not results:
        return None
    choose = _chosen_by_card if _has_card(folder) else _chosen_by_name
    splits = choose(folder, config_name, results)
    chosen = DataFilesDict({split: _listed(files) for split, files in splits.items() if files})
    if not chosen:
        raise InputError(
            f"{folder} holds no data, only results of earlier runs ({named(results)}); "
            "to read one of them as data, pass the file as --dataset"
        )
    return of_one_format(chosen, folder)


def named(files: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = [Path(file).name for file in sorted(files)]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _chosen_by_name(folder: str, config_name: str | None, results: frozenset[str]) -> dict[str, list[str]]:
    def without_results(pattern: str) -> list[str]:
        return [file for file in files_matching(pattern, folder) if file not in results]

    try:
        patterns = patterns_by_name(without_results)
    except FileNotFoundError:
        return {}
    return {str(s): [file for each in of_split for file in without_results(each)] for s, of_split in patterns.items()}


def _chosen_by_card(folder: str, config_name: str | None, results: frozenset[str]) -> dict[str, list[str]]:
    """The card's patterns stand, whatever else is there; they may name hidden files as well."""
    files = load_dataset_builder(folder, config_name).config.data_files or {}
    return {
        str(s): [f for f in of_split if f not in results and not is_result(Path(f))] for s, of_split in files.items()
    }


def _has_card(folder: str) -> bool:
    cards = [Path(folder) / name for name in _CARDS]
    return any(re.search(r"^configs:", c.read_text("utf-8", "replace"), re.MULTILINE) for c in cards if c.is_file())


def _listed(files: list[str]) -> DataFilesList:
    """With their times, by which datasets knows that a file has changed."""
    return DataFilesList(files, [(str(Path(file).stat().st_mtime),) for file in files])
