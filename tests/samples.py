"""Samples on their way to a request, for tests that have no data set."""

from collections.abc import Callable, Sequence
from typing import Any

from tasks.core.config.generation import GenerateConfig
from tasks.core.data.reader import Reader
from tasks.core.media.cell import Cell
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Media, MediaUri, Request

GENERATION = GenerateConfig(model="m")
PREPARER = Preparer(GENERATION)
type Read = Callable[[int], bytes | MediaUri | None]


class OnePerRow:
    """A MediaReader: one medium a row, by its number."""

    has_columns = True

    def __init__(self, read: Read) -> None:
        self._read = read

    def cells(self, row: int) -> Sequence[Cell]:
        return [Cell("image_path", row)]

    def read(self, cell: Cell) -> bytes | MediaUri | None:
        return self._read(cell.value)


def image_of(request: Request) -> Media | None:
    """The one image that the request has, if any."""
    assert len(request.media) <= 1
    return next((medium for medium in request.media if isinstance(medium, Media)), None)


def media_of(reader: Reader, row: int) -> list[Any]:
    """What the row's cells of media stand for, read."""
    assert reader.media
    return [reader.media.read(cell) for cell in reader.media.cells(row)]


def only_medium(reader: Reader, row: int) -> Any:
    """That of a row with one or none."""
    [found] = media_of(reader, row) or [None]
    return found
