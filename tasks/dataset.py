"""Which rows a run is about, and how any machine reads them: by reference, a slice at a time, images one by one."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from tasks.core.chunks import Chunk
from tasks.core.config import GenerateConfig, RunConfig
from tasks.core.data_files import named, results_among
from tasks.core.images import read_image
from tasks.core.prompts import key_of
from tasks.core.records import Sample
from tasks.core.sources import DatasetRef, load, resolve

SLICE = 1000  # rows read at once where all rows are read
_opening = Lock()


@task(name="resolve_dataset", cache_policy=NO_CACHE, persist_result=False)
def resolve_dataset(config: RunConfig) -> DatasetRef:
    """Find the data set and check its columns; see sources.resolve for what can be wrong with it."""
    ref = resolve(config)
    if Path(ref.dataset).is_dir() and (results := results_among(ref.dataset)):
        get_run_logger().warning("Not read as data: %d results of earlier runs (%s)", len(results), named(results))
    return ref


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


def sample_keys(ref: DatasetRef, generation: GenerateConfig) -> Iterator[tuple[str, str]]:
    """(key, id) of every sample, in order. Reads each image once and keeps none."""
    reader = open_reader(ref)
    read = reader.image if reader.has_images else None

    def keys(span: range) -> list[tuple[str, str]]:
        return [(key_of(generation, sample, read), sample.id) for sample in reader.samples(span)]

    if read is None:
        for span in reader.spans():
            yield from keys(span)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for part in threads.map(keys, reader.spans()):
            yield from part


def _text(value: Any) -> str:
    """A cell as text: nothing for an empty one, JSON for a structure."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str).strip('"')
