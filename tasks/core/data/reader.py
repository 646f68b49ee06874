"""Which rows a run is about, and how any machine reads them: by reference, a slice at a time, images one by one."""

import json
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import Any

from tasks.core.data.sources import DatasetRef, load
from tasks.core.media.reading import read_image
from tasks.core.records import Chunk, Sample

SLICE = 1000  # rows read at once where all rows are read
_opening = Lock()


class Reader:
    """The rows of a data set on this machine. Thread-safe; holds no image, and lets datasets open none."""

    def __init__(self, ref: DatasetRef) -> None:
        self._ref = ref
        table = load(ref.dataset, ref.dataset_config, ref.revision, ref.split).with_format(None)
        self._texts = table.select_columns([c for c in (ref.text_column, ref.id_column) if c in table.column_names])
        # As Arrow, a cell is what is stored: datasets decodes features, which for media opens files and URLs.
        self._images = table.select_columns([ref.image_column]).with_format("arrow") if ref.image_column else None

    @property
    def has_images(self) -> bool:
        return self._images is not None

    def samples(self, span: range) -> list[Sample]:
        """The samples of a range of rows, in order."""
        columns = self._texts[span.start : span.stop] if span else {}
        texts = columns.get(self._ref.text_column, [None] * len(span))
        ids = columns[self._ref.id_column] if self._ref.id_column and span else span
        return [Sample(row, _text(i), _text(t)) for row, i, t in zip(span, ids, texts, strict=True)]

    def image(self, row: int) -> bytes | None:
        """The image's bytes, as they are in the data.

        Raises:
            ImageError: the cell names an image that cannot be read.
        """
        assert self._images is not None
        return read_image(self._images[row].column(0)[0].as_py(), self._ref.image_roots)

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


def _text(value: Any) -> str:
    """A cell as text: nothing for an empty one, JSON for a structure."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str).strip('"')
