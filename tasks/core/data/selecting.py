"""Applies a selection to a table that is here. Which rows are selected is kept by what table and selection are."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from datasets import Dataset

from tasks.core.data.formats.staging import kept, made
from tasks.core.data.rows import Rows, fingerprint
from tasks.core.data.selection import Numbers, Selection, all_matches, conditional, counted_off, first_of, shuffled

_VERSION = 1  # of how rows are selected


def select(table: Dataset, selection: Selection, split: str) -> Rows:
    """The rows of `table` that are selected.

    Raises:
        InputError: the condition is none, asks for what is no column, or cannot be told of a row.
    """
    if not selection.reorders:
        return Rows(table, most=selection.limit)
    if selection.where is not None:
        conditional(table.features, selection.where, split)
    asked = [_VERSION, fingerprint(table), selection.where, selection.shuffle, selection.limit, split]
    name = hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()
    return Rows(table, order=kept_numbers(name, lambda: _selected(table, selection, split)))


def kept_numbers(name: str, numbers: Callable[[], Numbers]) -> Numbers:
    """What is found once and then lies on disk, which memory holds none of."""

    def write(draft: str) -> None:
        with Path(draft).open("wb") as file:
            np.save(file, numbers())

    found: Numbers = np.load(made(kept(f"{name}.npy"), write), mmap_mode="r")
    return found


def _selected(table: Dataset, selection: Selection, split: str) -> Numbers:
    if selection.where is None:
        found = counted_off(len(table))
    else:
        condition, columns = conditional(table.features, selection.where, split)
        cells = Rows(table).only(columns)
        found = all_matches(cells.read, len(table), condition, table.features)
    if selection.shuffle is not None:
        return shuffled(found, selection.shuffle, selection.limit)
    return first_of(found, selection.limit)
