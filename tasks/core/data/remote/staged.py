"""Puts rows that are read from the Hub into one Arrow file, whole or not at all.

Any process finds it, or makes the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Features, Value

from tasks.core.data.formats.staging import kept, staged_table
from tasks.core.data.meter import Meter
from tasks.core.data.rows import Rows
from tasks.core.data.selection import SLICE, Numbers, Selection, shuffled

_NUMBER = "number of the row, by gemini-infer"


@dataclass(frozen=True, slots=True)
class Found:
    """The rows that are selected, with their numbers, which ascend. `total`: how many, where that is known."""

    what: str
    features: Features
    rows: Iterator[tuple[pa.RecordBatch, Numbers]]
    total: int | None = None


def numbered(rows: Rows) -> Iterator[tuple[pa.RecordBatch, Numbers]]:
    """All of `rows`, which are in the order of the data."""
    for start in range(0, len(rows), SLICE):
        span = range(start, min(start + SLICE, len(rows)))
        numbers, at = np.asarray(rows.numbers(span), np.int64), 0
        for batch in rows.read(span).combine_chunks().to_batches():
            yield batch, numbers[at : at + len(batch)]
            at += len(batch)


def is_staged(digest: str) -> bool:
    """Whether the rows of `digest` are here, so that nobody has to be asked for them."""
    return kept(f"{digest}.arrow").exists()


def staged(digest: str, find: Callable[[], Found] | None, selection: Selection) -> Rows:
    """The selected rows, kept as `digest`; `find` may be None where they are."""

    def batches() -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        assert find is not None
        found = find()
        schema = Features({**found.features, _NUMBER: Value("int64")}).arrow_schema
        rows = Meter(f"Fetching the rows of {found.what}", found.total).over(found.rows, lambda each: len(each[1]))
        return schema, (pa.record_batch([*batch.columns, pa.array(each)], schema=schema) for batch, each in rows)

    table = staged_table(digest, batches)
    numbers: Numbers = table.with_format("arrow")[:].column(_NUMBER).to_numpy()
    return Rows(table.remove_columns(_NUMBER), order=_order(numbers, selection), numbers=numbers)


def _order(numbers: Numbers, selection: Selection) -> Numbers | None:
    """They lie in the order of the data; where they were shuffled, the order follows from their numbers."""
    if selection.shuffle is None:
        return None
    return np.searchsorted(numbers, shuffled([numbers], selection.shuffle, selection.limit)).astype(np.int64)
