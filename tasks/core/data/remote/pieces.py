"""Which rows of which row groups a run is about, found without fetching others. Knows no disk."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Features

from tasks.core.data.formats.splits import Span
from tasks.core.data.remote.parquet import Group, ParquetFiles
from tasks.core.data.selection import Numbers, Selection, conditional, counted_off, matches, shuffled
from tasks.core.prompts.condition import Condition


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one row group. `number`: of the first, as the run counts before it selects; `start`: in the group."""

    files: ParquetFiles
    group: Group
    start: int
    rows: int
    number: int

    def read(self, numbers: Numbers, columns: tuple[str, ...] | None = None) -> Iterator[pa.RecordBatch]:
        """Its rows of these numbers, which ascend."""
        return self.files.read(self.group, numbers - self.number + self.start, columns)

    @property
    def numbers(self) -> Numbers:
        return np.arange(self.number, self.number + self.rows, dtype=np.int64)

    @property
    def bytes(self) -> int:
        """Unpacked."""
        return self.group.bytes * self.rows // max(1, self.group.rows)


@dataclass(frozen=True, slots=True)
class Pieces:
    """The rows of `spans`, one span after another; footers are fetched as far as pieces are asked for."""

    splits: Mapping[str, ParquetFiles]
    spans: list[Span]

    @property
    def features(self) -> Features:
        return self.splits[self.spans[0].split].features

    def __iter__(self) -> Iterator[Piece]:
        number = 0
        for span in self.spans:
            for group in self.splits[span.split].groups():
                if group.start >= span.stop:
                    break
                start, stop = max(span.start, group.start), min(span.stop, group.start + group.rows)
                if start < stop:
                    yield Piece(self.splits[span.split], group, start - group.start, stop - start, number)
                    number += stop - start

    def rows(self) -> int:
        return sum(piece.rows for piece in self)

    def first_bytes(self, rows: int | None) -> int:
        """About what so many rows need on disk, going by the first ones; all, where `rows` is None."""
        if rows is None:
            return sum(piece.bytes for piece in self)
        first = next(iter(self), None)
        return first.bytes * rows // first.rows if first else 0


def wanted(pieces: Pieces, selection: Selection, split: str) -> Iterator[tuple[Piece, Numbers]]:
    """The numbers of the run's rows, ascending, piece by piece; no piece is looked at beyond the limit.

    Raises:
        InputError: as `conditional` and `matches`.
    """
    if selection.shuffle is not None and selection.limit is not None:
        yield from _parted(
            pieces, np.sort(shuffled(_found(pieces, selection, split), selection.shuffle, selection.limit))
        )
        return
    left = selection.limit
    for piece in pieces if left != 0 else ():
        numbers = _in_piece(piece, selection, split)[:left]
        yield piece, numbers
        left = None if left is None else left - len(numbers)
        if left == 0:
            return


def wanted_rows(pieces: Pieces, selection: Selection, split: str) -> Iterator[tuple[pa.RecordBatch, Numbers]]:
    """The same, read."""
    for piece, numbers in wanted(pieces, selection, split):
        start = 0
        for batch in piece.read(numbers):
            yield batch, numbers[start : start + len(batch)]
            start += len(batch)


def _found(pieces: Pieces, selection: Selection, split: str) -> Iterator[Numbers]:
    if selection.where is None:
        return counted_off(pieces.rows())
    return (_in_piece(piece, selection, split) for piece in pieces)


def _in_piece(piece: Piece, selection: Selection, split: str) -> Numbers:
    """The numbers of those for which the condition holds; only the columns that it names are fetched."""
    if selection.where is None:
        return piece.numbers
    features = piece.files.features
    condition, columns = conditional(features, selection.where, split)
    return np.concatenate([np.empty(0, np.int64), *_matching(piece, condition, columns, features)])


def _matching(piece: Piece, condition: Condition, columns: tuple[str, ...], features: Features) -> Iterator[Numbers]:
    first = piece.number
    for batch in piece.read(piece.numbers, columns):
        table = pa.Table.from_batches([batch])
        yield matches(table, first, condition, features) + first
        first += len(table)


def _parted(pieces: Pieces, numbers: Numbers) -> Iterator[tuple[Piece, Numbers]]:
    for piece in pieces:
        start, stop = np.searchsorted(numbers, [piece.number, piece.number + piece.rows])
        if start < stop:
            yield piece, numbers[start:stop]
