"""Rows of what datasets reads for this program (Arrow, WebDataset, folders of images, …), as it streams them.

Files are read one after another, and no further than the rows need; pictures that metadata names are fetched when their
request goes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, IterableDataset
from datasets.table import table_cast

from tasks.core.data.formats.splits import Span, spans_of
from tasks.core.data.remote.patience import of_the_hub
from tasks.core.data.selection import Numbers, Selection, conditional, matches

AT_ONCE = 50  # rows
_BYTES = 32_000_000  # of rows held at once


@dataclass(frozen=True, slots=True)
class Stream:
    """One split. `cells`: the metadata of its pictures as it is written, a row for each, in order.

    `at_once`: rows whose columns stand in one order; datasets gives those of a WebDataset's last sample in another.
    """

    name: str
    table: IterableDataset
    cells: Dataset | None = None
    at_once: int = AT_ONCE

    @property
    def features(self) -> Features:
        own: Features = self.table.features
        written = self.cells.features if self.cells else {}
        return Features({name: written.get(name, feature) for name, feature in own.items()})

    def batches(self, most: int, stop: int) -> Iterator[pa.Table]:
        """The rows up to `stop` or a few more, in the types of `features`, some `most` at once. Nothing is decoded."""
        start, held, schema = 0, list[pa.Table](), self.table.features.arrow_schema
        with of_the_hub(self.name):
            for found in self.table.decode(False).with_format("arrow").iter(batch_size=min(most, self.at_once)):
                held.append(table_cast(found, schema))
                rows = sum(map(len, held))
                if rows >= min(most, stop - start) or sum(part.nbytes for part in held) >= _BYTES:
                    yield self._as_written(pa.concat_tables(held), start)
                    start, held = start + rows, []
                if start >= stop:
                    return
        if held:
            yield self._as_written(pa.concat_tables(held), start)

    def _as_written(self, table: pa.Table, start: int) -> pa.Table:
        if self.cells is None:
            return table
        schema = self.features.arrow_schema
        cells = self.cells.with_format("arrow")[start : start + len(table)]
        for name in set(table.column_names) & set(cells.column_names):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, cells.schema.field(name), cells.column(name))
        return table.cast(schema)


def bounded_spans(spec: str, selection: Selection) -> list[Span] | None:
    """The rows that a stream may stop behind; None where all rows are needed, or their number is.

    Raises:
        ValueError, InputError: as spans_of.
    """
    try:
        spans = spans_of(spec, _count)
    except _CountNeeded:
        return None
    is_bounded = selection.limit is not None or selection.streaming or not any(span.is_endless for span in spans)
    return spans if is_bounded and selection.shuffle is None else None


def found_rows(
    streams: Mapping[str, Stream], spans: Sequence[Span], selection: Selection, split: str
) -> Iterator[tuple[pa.RecordBatch, Numbers]]:
    """The run's rows and their numbers, ascending; the streams are read no further.

    Raises:
        InputError: as `conditional` and `matches`.
    """
    left, most = selection.limit, min(AT_ONCE, selection.limit or AT_ONCE)
    for table, start in _numbered(streams, spans, most) if left != 0 else ():
        places = _chosen(table, start, selection, split)[:left]
        for batch in table.take(pa.array(places)).combine_chunks().to_batches():
            yield batch, places + start
        left = None if left is None else left - len(places)
        if left == 0:
            return


def _numbered(streams: Mapping[str, Stream], spans: Sequence[Span], most: int) -> Iterator[tuple[pa.Table, int]]:
    """Tables of the spans' rows, each with the number of its first."""
    number = 0
    for span in spans:
        start = 0
        for table in streams[span.split].batches(most, span.stop):
            inside = table.slice(max(0, span.start - start), max(0, span.stop - max(start, span.start)))
            start += len(table)
            if len(inside):
                yield inside, number
            number += len(inside)


def _chosen(table: pa.Table, start: int, selection: Selection, split: str) -> Numbers:
    """Places in `table`."""
    if selection.where is None:
        return np.arange(len(table), dtype=np.int64)
    features = Features.from_arrow_schema(table.schema)
    condition, columns = conditional(features, selection.where, split)
    return matches(table.select(columns), start, condition, features)


class _CountNeeded(Exception):
    pass


def _count(split: str) -> Any:
    raise _CountNeeded
