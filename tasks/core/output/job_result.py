"""The result of a job with all that it is made of, as a run has it at its end, or a checkpoint at any time."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.config.parameters import RunConfig
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import DatasetRef
from tasks.core.output.columns import About
from tasks.core.output.rows import ResultRow, result_rows
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import Prompting
from tasks.core.reporting.tally import Tally


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

    @property
    def preparer(self) -> Preparer:
        """How its samples became requests."""
        return Preparer(self.config.generation, self.prompting.draft_of)
