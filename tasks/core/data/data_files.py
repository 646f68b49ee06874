"""Which files of a folder are which split's, by its card or by their names; never our own results.

A result would be read as data, sent, paid for and written as a result again. The choice of splits goes by the names of
files, so it is made without having seen ours.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from datasets import load_dataset_builder

from tasks.core.data.datasets_internals import patterns_by_name
from tasks.core.data.formats.listing import files_in, matching
from tasks.core.errors import InputError
from tasks.core.files.own_results import is_result

_CARDS = ("README.md", ".huggingface.yaml")
_NAMED = 5


def files_by_split(folder: str, config_name: str | None) -> dict[str, list[str]]:
    """The files of each split, absolute, whatever they hold.

    Raises:
        InputError: there is nothing but results, or nothing at all.
    """
    results = frozenset(results_among(folder))
    if card_says(folder, "configs"):
        splits = _chosen_by_card(folder, config_name, results)
    else:
        splits = _chosen_by_name(folder, results)
    if found := {split: list(dict.fromkeys(files)) for split, files in splits.items() if files}:
        return found
    if not results:
        raise InputError(f"{folder} holds no data")
    raise InputError(
        f"{folder} holds no data, only results of earlier runs ({named(results)}); "
        "to read one of them as data, pass the file as --dataset"
    )


def results_among(folder: str) -> list[str]:
    """Results of ours in `folder`, in sub folders too."""
    files = (str(Path(folder, name)) for name in files_in(folder))
    return [file for file in files if is_result(Path(file))]


def card_says(folder: str, *keys: str) -> bool:
    """Whether the card of a folder has one of `keys`: `configs` may choose the files, `dataset_info` has features."""
    cards = [Path(folder) / name for name in _CARDS]
    wanted = re.compile(rf"^({'|'.join(keys)}):", re.MULTILINE)
    return any(wanted.search(card.read_text("utf-8", "replace")) for card in cards if card.is_file())


def named(files: Iterable[str]) -> str:
    """The first few names, for a message."""
    names = [Path(file).name for file in sorted(files)]
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _chosen_by_name(folder: str, results: frozenset[str]) -> dict[str, list[str]]:
    files = [name for name in files_in(folder) if str(Path(folder, name)) not in results]
    try:
        patterns = patterns_by_name(lambda pattern: matching(pattern, files))
    except FileNotFoundError:
        return {}
    return {
        str(split): [str(Path(folder, name)) for pattern in of_split for name in matching(pattern, files)]
        for split, of_split in patterns.items()
    }


def _chosen_by_card(folder: str, config_name: str | None, results: frozenset[str]) -> dict[str, list[str]]:
    """The card's patterns stand, whatever else is there; they may name hidden files as well."""
    files = load_dataset_builder(folder, config_name).config.data_files or {}
    return {
        str(s): [f for f in of_split if f not in results and not is_result(Path(f))] for s, of_split in files.items()
    }
