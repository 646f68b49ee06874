"""The metadata of an image folder as it is written; datasets makes 7 of 007, and nothing of NA."""

import datasets
from datasets import Dataset

from tasks.core.errors import InputError


def with_metadata(table: Dataset, cells: Dataset, where: str) -> Dataset:
    """`table` as datasets reads it, with those of its columns that `cells`, its metadata, holds as text.

    Raises:
        InputError: datasets has left out a row, or made up one.
    """
    if len(cells) != len(table):
        raise InputError(f"the metadata of {where} has {len(cells):,} rows, of which {len(table):,} were read")
    own = [name for name in table.column_names if name in cells.column_names]
    others = [name for name in table.column_names if name not in own]
    if not own or not others:
        return cells if not others else table
    joined = datasets.concatenate_datasets([table.select_columns(others), cells.select_columns(own)], axis=1)
    return joined.select_columns(table.column_names)
