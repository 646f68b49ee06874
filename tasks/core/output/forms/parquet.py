"""The table as Parquet, in memory that does not grow with it: written, and read again to be compared."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.files.atomic import Draft
from tasks.core.output.columns import About, columns_of
from tasks.core.output.rows import ResultRow

GROUP_BYTES, GROUP_ROWS = 16_000_000, 50_000  # of a row group: what is in memory before it is written
_PORTION_CHARS = 8_000_000


@contextmanager
def begun(draft: Draft, about: About) -> Iterator["ParquetFile"]:
    with pa.OSFile(str(draft.path), "wb") as sink:
        file = ParquetFile(sink, about)
        try:
            yield file
        finally:
            file.leave()


class ParquetFile:
    """A table of typed columns; see columns.py."""

    def __init__(self, sink: pa.NativeFile, about: About) -> None:
        self._about, self._schema = about, about.schema()
        self._waiting: list[pa.Table] = []
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd")

    def write(self, rows: Sequence[ResultRow]) -> None:
        for portion in _portions(rows):
            columns = zip(columns_of(portion, self._about), self._schema.types, strict=True)
            arrays = [pa.array(column, kind) for column, kind in columns]
            self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
            if sum(t.nbytes for t in self._waiting) >= GROUP_BYTES or sum(map(len, self._waiting)) >= GROUP_ROWS:
                self._write_group()

    def close(self) -> str:
        if self._waiting:
            self._write_group()
        self._writer.close()
        return ""

    def leave(self) -> None:
        """Without an end, which the writer would write when it is collected."""
        self._writer.is_open = False

    def _write_group(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=GROUP_ROWS)
        self._waiting.clear()


def read_parts(path: Path) -> Iterator[pd.DataFrame]:
    """The columns `id`, `input_query` and `status`, a part at a time. Raises ValueError, OSError."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(2000, columns=["id", "input_query", "status"], use_threads=False):
            yield batch.to_pandas(use_threads=False)


def _portions(rows: Sequence[ResultRow]) -> Iterator[Sequence[ResultRow]]:
    """No more text at once than an array can hold, or memory should."""
    start = chars = 0
    for number, row in enumerate(rows):
        chars += len(row.input_query) + len(row.answer.response)
        if chars >= _PORTION_CHARS:
            yield rows[start : number + 1]
            start, chars = number + 1, 0
    if start < len(rows):
        yield rows[start:]
