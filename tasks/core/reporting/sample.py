"""Some rows of a result with their prompts and small images, to be looked at in Prefect's UI. Takes a bounded time."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from tasks.core.answering.run import Run
from tasks.core.checkpoint.table.rows import RunRows
from tasks.core.data.reader import Reader, open_reader
from tasks.core.output.report.thumbnails import Thumbnails, media_of_rows
from tasks.core.records import RowAnswer, Sample

FAILED, ANSWERED = 200, 10
MOST_SECONDS = 10.0  # of data that is elsewhere, and of images
MOST_BYTES = 300_000  # of all images, as base64


class Looked(NamedTuple):
    """`prompt`: empty where there was no time for it. `images`: WebP in base64."""

    answer: RowAnswer
    prompt: str
    images: list[str]


class SampleOfRows(NamedTuple):
    """The first rows of a run that failed, and the first that have an answer."""

    failed: list[Looked]
    answered: list[Looked]


def sample_of(run: Run, answers: RunRows, clock: Callable[[], float] = time.monotonic) -> SampleOfRows:
    """Of what `run` has come to so far."""
    reader, until = open_reader(run.data), clock() + MOST_SECONDS
    answered, failed = answers.answered(ANSWERED), answers.failed(FAILED)
    images = _images(run, reader, answered)

    def looked(rows: Iterable[RowAnswer]) -> Iterator[Looked]:
        for answer in rows:
            prompt = _prompt(reader, answer.row, run.prompting.text_of) if clock() < until else ""
            yield Looked(answer, prompt, images.get(answer.row, []))

    shown = list(looked(answered))
    return SampleOfRows(list(looked(failed)), shown)


def _prompt(reader: Reader, row: int, text_of: Callable[[Sample], str]) -> str:
    with suppress(Exception):  # of data that is elsewhere, or has moved: the row is shown without
        [sample] = reader.samples(range(row, row + 1))
        return text_of(sample)
    return ""


def _images(run: Run, reader: Reader, rows: Iterable[RowAnswer]) -> dict[int, list[str]]:
    if not reader.media:
        return {}
    thumbnails = Thumbnails(media_of_rows(reader, run.preparer), ANSWERED, MOST_SECONDS, MOST_BYTES)
    for answer in rows:
        if answer.has_image:
            thumbnails.ask(answer.row)
    return {row: [data for data, _ in shown if data] for row, shown in thumbnails.finish().items()}
