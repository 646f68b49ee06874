"""The rows of a run, in the run's order, over a table that may hold more, in another order. Reads them when asked."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

import pyarrow as pa
from datasets import Dataset, Features

from tasks.core.data.datasets_internals import fingerprint_of
from tasks.core.data.formats.foreign import identity
from tasks.core.data.selection import Numbers


class Table(Protocol):
    """What is asked of a table that gives Arrow: a Dataset, or one of which a window is here."""

    features: Features

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any) -> pa.Table: ...

    def select_columns(self, column_names: list[str]) -> "Table": ...


class Rows:
    """`head`: first rows of the table as a Dataset, for a look at its columns. Thread-safe.

    `order`: the positions in the table of the run's rows; None: all, in order. `numbers`: the row numbers in the
    split, of the table's rows; None: their positions. `most`: of the rows, only so many.
    """

    def __init__(
        self,
        head: Dataset,
        table: Table | None = None,
        order: Numbers | None = None,
        numbers: Numbers | None = None,
        most: int | None = None,
    ) -> None:
        self.head = head
        # As Arrow, a cell is what is stored: datasets decodes features, which for media opens files and URLs.
        self._table: Table = head.with_format("arrow") if table is None else table
        self._order, self._numbers = order, numbers
        there = len(self._table) if order is None else len(order)
        self._rows = there if most is None else min(most, there)

    @property
    def features(self) -> Features:
        return self._table.features

    @property
    def fingerprint(self) -> str:
        """Another one when a file that the rows are read from is written or replaced, whatever its time and size."""
        return fingerprint(self.head)

    @property
    def are_here(self) -> bool:
        """Whether reading them waits for nobody."""
        return isinstance(self._table, Dataset)

    def __len__(self) -> int:
        return self._rows

    def only(self, names: Sequence[str]) -> Self:
        """The same rows with fewer columns."""
        return type(self)(
            self.head, self._table.select_columns(list(names)), self._order, self._numbers, most=self._rows
        )

    def read(self, span: range) -> pa.Table:
        """The cells of a range of rows, in the run's order."""
        if self._order is None:
            return self._table[span.start : span.stop]
        return self._table[self._order[span.start : span.stop].tolist()]

    def numbers(self, span: range) -> Sequence[int]:
        """Which rows of the split they are: the same whatever is selected."""
        if self._order is None and self._numbers is None:
            return span
        places = self._order[span.start : span.stop] if self._order is not None else slice(span.start, span.stop)
        found: list[int] = (places if self._numbers is None else self._numbers[places]).tolist()  # type: ignore[union-attr]
        return found


def fingerprint(table: Dataset) -> str:
    """See Rows."""
    files = sorted({file["filename"] for file in table.cache_files})
    return "-".join([fingerprint_of(table), *map(identity, files)])
