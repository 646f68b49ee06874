"""Parquet files on the Hub, read by ranges: footers say which rows are where, row groups are fetched when asked for.

Keeps nothing on disk. Thread-safe.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features
from datasets.table import table_cast
from huggingface_hub import HfFileSystem
from huggingface_hub.errors import EntryNotFoundError

from tasks.core.data.remote.patience import PAUSES_SECONDS, of_the_hub, patiently, wait
from tasks.core.data.selection import Numbers
from tasks.core.errors import DataUnavailable

_BATCH_BYTES, _BATCH_ROWS = 32_000_000, 1_000
_PAGES = 1_000_000  # fetched at once of a row group of which only a part is wanted
_AT_ONCE = 8  # footers


@dataclass(frozen=True, slots=True)
class Group:
    """A row group. `start`: its first row's number in the split. `bytes`: unpacked."""

    file: str
    index: int
    start: int
    rows: int
    bytes: int


class ParquetFiles:
    """The files of one split, `hf://…`. `declared`: the features that the data set's card has, if any."""

    def __init__(self, files: Sequence[str], token: str | None, declared: Features | None = None) -> None:
        self._files = files
        self._fs = HfFileSystem(token=token)
        self._footer = lru_cache(maxsize=32)(self._read_footer)
        self._sizes = lru_cache(maxsize=None)(self._group_sizes)
        self._declared = declared

    @cached_property
    def features(self) -> Features:
        """As datasets has them: the card's, or those in the first file."""
        return self._declared or Features.from_arrow_schema(self._footer(self._files[0]).schema.to_arrow_schema())

    def groups(self) -> Iterator[Group]:
        """All row groups, in order; a file's footer is fetched when its turn comes."""
        start = 0
        for file in self._files:
            for index, (rows, size) in enumerate(self._sizes(file)):
                yield Group(file, index, start, rows, size)
                start += rows

    def count(self) -> int:
        """The rows of all files."""
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return sum(rows for sizes in threads.map(self._sizes, self._files) for rows, _ in sizes)

    def read(self, group: Group, places: Numbers, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of a group by their ascending `places` in it, in the types of `features`.

        Where the Hub fails in the middle, this waits and goes on behind what it has given.

        Raises:
            DataUnavailable: the Hub refuses it, or does not send it for some two minutes.
        """
        pauses = iter(PAUSES_SECONDS)
        while len(places):
            try:
                for batch in self._read(group, places, columns):
                    yield batch
                    places, pauses = places[len(batch) :], iter(PAUSES_SECONDS)
                return
            except DataUnavailable as error:
                if (pause := next(pauses, None)) is None:
                    raise
                wait(error, pause)

    def _read(self, group: Group, places: Numbers, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        features = self.features if columns is None else Features({name: self.features[name] for name in columns})
        start = 0
        for batch in self._batches(group, len(places) < group.rows, columns):
            here = places[(places >= start) & (places < start + len(batch))] - start
            if len(here):
                chosen = batch if len(here) == len(batch) else batch.take(pa.array(here))
                table = table_cast(pa.Table.from_batches([chosen]), features.arrow_schema)
                yield from table.combine_chunks().to_batches()
            start += len(batch)
            if start > places[-1]:
                return

    def _batches(self, group: Group, in_part: bool, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Of a part, page after page, so that what comes after it is not fetched."""
        how: dict[str, Any] = {"buffer_size": _PAGES} if in_part else {"pre_buffer": True}
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, group.bytes // max(1, group.rows))))
        footer = self._footer(group.file)
        with self._opened(group.file) as file:
            opened = pq.ParquetFile(file, metadata=footer, **how)
            yield from opened.iter_batches(rows, row_groups=[group.index], columns=columns, use_threads=False)

    def _group_sizes(self, file: str) -> list[tuple[int, int]]:
        footer = self._footer(file)
        groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
        return [(group.num_rows, group.total_byte_size) for group in groups]

    def _read_footer(self, file: str) -> pq.FileMetaData:
        def ask() -> pq.FileMetaData:
            with self._opened(file) as opened:
                return pq.read_metadata(opened)

        return patiently(file, ask)

    @contextmanager
    def _opened(self, file: str) -> Iterator[Any]:
        try:
            with of_the_hub(file), self._fs.open(file, "rb", cache_type="none") as opened:
                yield opened
        except (EntryNotFoundError, FileNotFoundError):  # which the Hub had a moment ago
            raise DataUnavailable(f"the Hub has {file} no more", passes=False) from None
