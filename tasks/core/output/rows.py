"""The rows of a result, in the order of the data: samples beside their answers. Writes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from tasks.core.records import RowAnswer, Sample, unsent


class Answers(Protocol):
    """The answers to the rows of a data set, a span at a time."""

    def of_rows(self, span: range) -> Mapping[int, RowAnswer]: ...


class Reader(Protocol):
    """The rows of a data set, a span at a time."""

    def spans(self) -> Iterator[range]: ...
    def samples(self, span: range) -> Sequence[Sample]: ...


class ResultRow(NamedTuple):
    """One row of a result; every form that it is written in is made of this."""

    id: str
    input_query: str
    answer: RowAnswer

    @property
    def line(self) -> tuple[str, str, bool, str, str, str]:
        """Its cells in the CSV."""
        answer = self.answer
        return self.id, self.input_query, answer.has_image, answer.response, answer.status, answer.error_message


def result_rows(reader: Reader, answers: Answers, text_of: Callable[[Sample], str]) -> Iterator[ResultRow]:
    """One a sample; a row without an answer says so. `text_of`: its input_query."""
    for span in reader.spans():
        found = answers.of_rows(span)
        for sample in reader.samples(span):
            yield ResultRow(sample.id, text_of(sample), found.get(sample.row) or unsent(sample.row))
