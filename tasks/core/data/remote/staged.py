"""Puts rows that are read from the Hub into one Arrow file, whole or not at all.

Any process finds it, or makes the same.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from datasets import Features, Value

from tasks.core.data.formats.staging import kept, staged_table
from tasks.core.data.remote.pieces import Piece, Pieces, wanted
from tasks.core.data.rows import Rows
from tasks.core.data.selection import Numbers, Selection, shuffled

_NUMBER = "number of the row, by gemini-infer"


def is_staged(digest: str) -> bool:
    """Whether the rows of `digest` are here, so that nobody has to be asked for them."""
    return kept(f"{digest}.arrow").exists()


def staged(digest: str, pieces: Pieces | None, selection: Selection, split: str) -> Rows:
    """The selected rows of `pieces`, kept as `digest`; the pieces may be None where they are.

    Raises:
        InputError: the condition is none, asks for what is no column, or cannot be told of a row.
    """

    def batches() -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        assert pieces is not None
        schema = Features({**pieces.features, _NUMBER: Value("int64")}).arrow_schema
        return schema, _numbered(wanted(pieces, selection, split), schema)

    table = staged_table(digest, batches)
    numbers: Numbers = table.with_format("arrow")[:].column(_NUMBER).to_numpy()
    return Rows(table.remove_columns(_NUMBER), order=_order(numbers, selection), numbers=numbers)


def _numbered(found: Iterable[tuple[Piece, Numbers]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for piece, numbers in found:
        start = 0
        for batch in piece.read(numbers):
            column = pa.array(numbers[start : start + len(batch)])
            start += len(batch)
            yield pa.record_batch([*batch.columns, column], schema=schema)


def _order(numbers: Numbers, selection: Selection) -> Numbers | None:
    """They lie in the order of the data; where they were shuffled, the order follows from their numbers."""
    if selection.shuffle is None:
        return None
    return np.searchsorted(numbers, shuffled([numbers], selection.shuffle, selection.limit)).astype(np.int64)
