"""The result of a job with all that it is made of, as a run has it at its end, or a checkpoint at any time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.output.columns import About
from tasks.core.output.rows import ResultRow, result_rows
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import Prompting
from tasks.core.records import unsent
from tasks.core.reporting.tally import Tally

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class JobResult:
    """`tally`: what `answers` come to."""

    config: RunConfig
    data: DatasetRef
    prompting: Prompting
    answers: RunRows
    about: About
    tally: Tally

    def rows(self) -> Iterator[ResultRow]:
        """In the order of the data, as often as they are asked for."""
        return result_rows(open_reader(self.data), self.answers, self.prompting.text_of)

    def rows_as_written(self, table: Path) -> Iterator[ResultRow]:
        """The same, of the table that has just been written: no data is read again, which may have to be fetched."""
        start = 0
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(_AT_ONCE, columns=["id", "input_query"]):
                span = range(start, start := start + len(batch))
                found = self.answers.of_rows(span)
                for row, sample_id, prompt in zip(span, *(column.to_pylist() for column in batch.columns), strict=True):
                    yield ResultRow(sample_id, prompt, found.get(row) or unsent(row))

    @property
    def preparer(self) -> Preparer:
        """How its samples became requests."""
        return Preparer(self.config.generation, self.prompting.draft_of)
