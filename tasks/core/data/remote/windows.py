"""A table that is larger than the disk: its parts are fetched when their rows are read, and go when room is needed."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
from datasets import Dataset, Features

from tasks.core.data.formats.staging import kept
from tasks.core.data.remote.pieces import Piece, Pieces
from tasks.core.data.remote.shelf import Shelf

PART_BYTES = 256_000_000  # fetched at once, unless a row group is larger
_LOOKED_AT = 20  # rows


@dataclass(frozen=True, slots=True)
class Part:
    """What is fetched at once. `start`: the number of its first row."""

    pieces: tuple[Piece, ...]
    start: int

    @property
    def bytes(self) -> int:
        return sum(piece.bytes for piece in self.pieces)


class Windows:
    """A Table (see rows.py) over all rows of `pieces`. Thread-safe; gives copies, which outlive the window."""

    def __init__(self, parts: Sequence[Part], features: Features, shelf: Shelf) -> None:
        self.features = features
        self._parts, self._shelf = parts, shelf
        self._starts = [part.start for part in parts]
        self._rows = sum(piece.rows for part in parts for piece in part.pieces)
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


def windows(pieces: Pieces, budget: int, part_bytes: int = PART_BYTES) -> Windows:
    """`budget`: bytes on disk at most."""
    most = min(part_bytes, max(1, budget // 4))
    return Windows(list(_parts(pieces, most)), pieces.features, Shelf(kept("windows"), budget))


def _parts(pieces: Iterable[Piece], most: int) -> Iterator[Part]:
    held: list[Piece] = []
    for piece in pieces:
        if held and (piece.group.file != held[0].group.file or sum(p.bytes for p in held) + piece.bytes > most):
            yield Part(tuple(held), held[0].number)
            held = []
        held.append(piece)
    if held:
        yield Part(tuple(held), held[0].number)


def _fetch(part: Part, features: Features, path: Path) -> None:
    schema = features.arrow_schema
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for piece in part.pieces:
            for batch in piece.read(piece.numbers):
                writer.write_batch(batch)
