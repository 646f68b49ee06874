"""Puts rows that are read from the Hub into one Arrow file, whole or not at all.

Any process finds it, or makes the same.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from datasets import Features, Value

from tasks.core.data.formats.staging import kept, staged_table
from tasks.core.data.rows import Rows
from tasks.core.data.selection import Numbers, Selection, shuffled

# The columns, and the rows with their numbers, which ascend.
type Find = Callable[[], tuple[Features, Iterator[tuple[pa.RecordBatch, Numbers]]]]
_NUMBER = "number of the row, by gemini-infer"


def is_staged(digest: str) -> bool:
    """Whether the rows of `digest` are here, so that nobody has to be asked for them."""
    return kept(f"{digest}.arrow").exists()


def staged(digest: str, find: Find | None, selection: Selection) -> Rows:
    """The selected rows, kept as `digest`; `find` may be None where they are."""

    def batches() -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        assert find is not None
        features, found = find()
        schema = Features({**features, _NUMBER: Value("int64")}).arrow_schema
        return schema, (pa.record_batch([*batch.columns, pa.array(each)], schema=schema) for batch, each in found)

    table = staged_table(digest, batches)
    numbers: Numbers = table.with_format("arrow")[:].column(_NUMBER).to_numpy()
    return Rows(table.remove_columns(_NUMBER), order=_order(numbers, selection), numbers=numbers)


def _order(numbers: Numbers, selection: Selection) -> Numbers | None:
    """They lie in the order of the data; where they were shuffled, the order follows from their numbers."""
    if selection.shuffle is None:
        return None
    return np.searchsorted(numbers, shuffled([numbers], selection.shuffle, selection.limit)).astype(np.int64)
