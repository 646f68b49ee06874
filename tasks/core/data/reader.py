"""Which rows a run is about, and how any machine reads them: by reference, a slice at a time, images one by one."""

from collections.abc import Iterator
from functools import lru_cache
from threading import Lock

import pyarrow as pa

from tasks.core.data.cells import texts, values
from tasks.core.data.media_of_rows import MediaOfRows
from tasks.core.data.opening import load
from tasks.core.data.sources import DatasetRef
from tasks.core.records import Chunk, Sample

SLICE = 1000  # rows read at once where all rows are read
_opening = Lock()


class Reader:
    """The rows of a data set on this machine. Thread-safe; holds no image, and lets datasets open none."""

    def __init__(self, ref: DatasetRef) -> None:
        self._ref = ref
        rows = load(
            ref.dataset, ref.dataset_config, ref.revision, ref.split, ref.encoding, ref.delimiter, ref.selection
        )
        self._features = rows.features
        columns = ref.columns
        wanted = {columns.text, columns.id, *columns.values}
        self._rows = rows.only([name for name in rows.features if name in wanted])
        self.media = MediaOfRows(rows, ref) if columns.has_media else None
        self.waits = bool(columns.has_media or not rows.are_here)  # for files, or for the Hub

    def samples(self, span: range) -> list[Sample]:
        """The samples of a range of rows, in order. An id that is no column's is the row's number in the split."""
        if not span:
            return []
        columns = self._rows.read(span)
        text, own_id = self._ref.columns.text, self._ref.columns.id
        prompts = self._column(columns, text) if text else [""] * len(span)
        ids = self._column(columns, own_id) if own_id else self._numbers(span)
        if not self._ref.columns.values:
            return [Sample(row, i, prompt) for row, i, prompt in zip(span, ids, prompts, strict=True)]
        names = self._ref.columns.values
        cells = zip(*(values(columns.column(name), self._features[name]) for name in names), strict=True)
        return [
            Sample(row, i, prompt, dict(zip(names, found, strict=True)))
            for row, i, prompt, found in zip(span, ids, prompts, cells, strict=True)
        ]

    def _numbers(self, span: range) -> Iterator[str]:
        return map(str, self._rows.numbers(span))

    def _column(self, columns: pa.Table, name: str) -> list[str]:
        return texts(columns.column(name), self._features[name])

    def spans(self) -> Iterator[range]:
        """All rows of the run, SLICE at a time."""
        for start in range(0, self._ref.rows, SLICE):
            yield range(start, min(start + SLICE, self._ref.rows))


def open_reader(ref: DatasetRef) -> Reader:
    """The Reader of `ref`, opened once a process: two threads that open one at a time get in each other's way."""
    with _opening:
        return _open_reader(ref)


@lru_cache(maxsize=4)
def _open_reader(ref: DatasetRef) -> Reader:
    return Reader(ref)


def read_samples(ref: DatasetRef, chunk: Chunk) -> list[Sample]:
    """The samples of a chunk, in order."""
    reader = open_reader(ref)
    return [sample for span in chunk.spans for sample in reader.samples(span)]
