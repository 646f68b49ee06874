"""Which rows of a split a run is about, and in which order: the same on every machine, by settings alone.

First those for which `--where` holds, then an order by `--shuffle`, then the first `--limit`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Features

from tasks.core.data.cells import values
from tasks.core.data.media_columns import media_of
from tasks.core.data.meter import Meter
from tasks.core.errors import InputError
from tasks.core.prompts.condition import FLAG, Condition

type Numbers = npt.NDArray[np.int64]
SLICE = 1000  # rows looked at once
_BLOCK = 1_000_000  # rows ordered at once, where only the first of them are wanted


@dataclass(frozen=True, slots=True)
class Selection:
    """`streaming`: of the Hub, fetch no more than the rows need."""

    where: str | None = None
    shuffle: int | None = None
    limit: int | None = None
    streaming: bool = False

    @property
    def reorders(self) -> bool:
        """Whether the run's rows are other than the first ones of the split."""
        return self.where is not None or self.shuffle is not None


ALL = Selection()


def conditional(features: Features, where: str, split: str) -> tuple[Condition, tuple[str, ...]]:
    """The condition and the columns that it reads.

    Raises:
        InputError: it is none, or asks for what is no column.
    """
    condition = Condition(where, split)
    columns = condition.columns(list(features), [name for name in features if media_of(features[name])])
    return condition, columns or tuple(features)[:1]  # a table without columns has no rows


def matches(table: pa.Table, first: int, condition: Condition, features: Features) -> Numbers:
    """The positions in `table` for which the condition holds. `first`: the row number of its first row.

    Raises:
        InputError: that cannot be told of a row.
    """
    names = table.column_names
    rows = zip(*(values(table.column(name), features[name]) for name in names), strict=True)
    return np.array(
        [n for n, row in enumerate(rows) if _holds(condition, dict(zip(names, row, strict=True)), first + n)], np.int64
    )


def _holds(condition: Condition, cells: dict[str, object], row: int) -> bool:
    try:
        return condition.holds(cells)
    except ValueError as error:
        raise InputError(
            f"{FLAG} {condition.source!r} cannot be told of row {row}: {error}; "
            "a number written as text is (name | float), an empty cell is (name is none)"
        ) from None


def all_matches(
    read: Callable[[range], pa.Table], rows: int, condition: Condition, features: Features
) -> Iterator[Numbers]:
    """The numbers of all rows for which it holds, ascending, some at a time."""
    spans = (range(start, min(start + SLICE, rows)) for start in range(0, rows, SLICE))
    for span in Meter(f"Looking at rows for {FLAG}", rows).over(spans, len):
        yield matches(read(span), span.start, condition, features) + span.start


def shuffled(numbers: Iterable[Numbers], seed: int, limit: int | None) -> Numbers:
    """Row numbers in the order of `seed`, the first `limit` of them. Holds about as many as it gives.

    The order is that of a hash of seed and number, which no version of a library changes.
    """
    best, held, holds = np.empty(0, np.int64), list[Numbers](), 0
    for block in numbers:
        held.append(block)
        holds += len(block)
        if limit is not None and holds > _BLOCK:
            best, held, holds = _ordered(np.concatenate([best, *held]), seed)[:limit], [], 0
    return _ordered(np.concatenate([best, *held]), seed)[:limit]


def first_of(numbers: Iterable[Numbers], limit: int | None) -> Numbers:
    """The first `limit` of them; no more are looked for."""
    found, left = [np.empty(0, np.int64)], limit
    for block in numbers if left != 0 else ():
        found.append(block[:left])
        left = None if left is None else left - len(found[-1])
        if left == 0:
            break
    return np.concatenate(found)


def counted_off(rows: int) -> Iterator[Numbers]:
    """All row numbers, some at a time."""
    for start in range(0, rows, _BLOCK):
        yield np.arange(start, min(start + _BLOCK, rows), dtype=np.int64)


def _ordered(numbers: Numbers, seed: int) -> Numbers:
    key = hashlib.blake2b(b"", digest_size=8, key=str(seed).encode())

    def rank(number: int) -> int:
        digest = key.copy()
        digest.update(number.to_bytes(8, "little"))
        return int.from_bytes(digest.digest(), "little")

    ranks = np.fromiter((rank(number) for number in numbers.tolist()), np.uint64, len(numbers))
    return numbers[np.lexsort((numbers, ranks))]
