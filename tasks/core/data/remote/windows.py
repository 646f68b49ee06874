"""A table that is larger than the disk: its parts are fetched when their rows are read, and go when room is needed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from datasets import Dataset, Features

from tasks.core.data.formats.staging import kept
from tasks.core.data.remote.pieces import Piece
from tasks.core.data.remote.shelf import Shelf

PART_BYTES = 256_000_000  # fetched at once, unless a row group is larger
_LOOKED_AT = 20  # rows


class Part(Protocol):
    """What is fetched at once. `start`: the number of its first row; `bytes`: about what it needs on disk."""

    @property
    def start(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows, fetched.

        Raises:
            DataUnavailable: the Hub does not send them.
        """
        ...


@dataclass(frozen=True, slots=True)
class PieceParts:
    """Neighbouring pieces of one Parquet file. A Part."""

    pieces: tuple[Piece, ...]
    start: int

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    @property
    def bytes(self) -> int:
        return sum(piece.bytes for piece in self.pieces)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for piece in self.pieces:
            yield from piece.read(piece.numbers)


class Windows:
    """A Table (see rows.py) over all rows of `parts`. Thread-safe; gives copies, which outlive the window."""

    def __init__(self, parts: Sequence[Part], features: Features, shelf: Shelf) -> None:
        self.features = features
        self._parts, self._shelf = parts, shelf
        self._starts = [part.start for part in parts]
        self._rows = sum(part.rows for part in parts)
        self._columns: list[str] = list(features)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, key: slice | Sequence[int]) -> pa.Table:
        rows: Iterable[int] = range(self._rows)[key] if isinstance(key, slice) else key
        found = [
            self._read(part, [row - self._starts[part] for row in places])
            for part, places in groupby(rows, lambda row: bisect_right(self._starts, row) - 1)
        ]
        return pa.concat_tables(found) if found else self.features.arrow_schema.empty_table().select(self._columns)

    def select_columns(self, column_names: list[str]) -> "Windows":
        """The same with fewer columns; they share the window."""
        fewer = Windows(self._parts, self.features, self._shelf)
        fewer._columns = column_names
        return fewer

    @property
    def head(self) -> Dataset:
        """The first rows."""
        return Dataset(self[:_LOOKED_AT])

    def _read(self, number: int, places: list[int]) -> pa.Table:
        part = self._parts[number]
        with self._shelf.held(number, part.bytes, lambda path: _fetch(part, self.features, path)) as table:
            return table.select(self._columns).take(pa.array(places, pa.int64()))


def windows(parts: Iterable[Part], features: Features, budget: int) -> Windows:
    """`budget`: bytes on disk at most, as far as one part does not need more."""
    return Windows(list(parts), features, Shelf(kept("windows"), budget))


def piece_parts(pieces: Iterable[Piece], budget: int) -> Iterator[Part]:
    """Some four of them within the budget."""
    most = min(PART_BYTES, max(1, budget // 4))
    held: list[Piece] = []
    for piece in pieces:
        if held and (piece.group.file != held[0].group.file or sum(p.bytes for p in held) + piece.bytes > most):
            yield PieceParts(tuple(held), held[0].number)
            held = []
        held.append(piece)
    if held:
        yield PieceParts(tuple(held), held[0].number)


def _fetch(part: Part, features: Features, path: Path) -> None:
    schema = features.arrow_schema
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in part.batches():
            writer.write_batch(batch)
