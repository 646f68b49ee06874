"""Reads the media of a sample, each where its draft has a place for it. Makes nothing ready to send."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol

from tasks.core.errors import MediaError
from tasks.core.media.cell import Cell
from tasks.core.media.reading import WebFile
from tasks.core.media.signed import without_signature
from tasks.core.prompts.draft import Draft, DraftPart, Place, Slot
from tasks.core.records import MediaUri


class MediaReader(Protocol):
    """The media of a data set's rows. Both methods may block."""

    @property
    def has_columns(self) -> bool:
        """Whether rows have media beside those that stand in their conversations."""
        ...

    def cells(self, row: int) -> Sequence[Cell]:
        """The row's media, in order, not read yet."""
        ...

    def read(self, cell: Cell) -> bytes | MediaUri | WebFile | None:
        """What a cell stands for; None where it is empty.

        Raises:
            MediaError: it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A medium as it was read: its bytes or address, or why there are none.

    Known by its bytes, or by its address without what expires in it: what is on the web is not fetched to plan a run,
    and a server that does not answer today makes no other sample of it.
    """

    cell: Cell
    content: bytes | MediaUri | WebFile | str

    @property
    def of_key(self) -> tuple[bytes, bytes]:
        match self.content:
            case bytes(data):
                return b"bytes:", data
            case MediaUri(uri=uri) | WebFile(url=uri):
                return b"uri:", without_signature(uri).encode("utf-8", "surrogatepass")
            case note:
                return b"note:", note.encode()


type Placed = list[list[str | Found]]


def placed(draft: Draft, cells: Sequence[Cell], media: MediaReader | None) -> Placed:
    """The parts of each turn, with what was read of the row's media, `cells`. Without `media`, the texts alone."""
    if media is None:
        return [[part for part in turn.parts if isinstance(part, str) and part] for turn in draft.turns]
    is_mixed = _is_mixed(cells)
    left = {place: iter([c for c in cells if _place_of(c, is_mixed) is place]) for place in Place}
    named = frozenset[str]().union(
        *(p.columns for t in draft.turns for p in t.parts if isinstance(p, Slot) and p.columns)
    )

    def expand(part: DraftPart) -> Iterator[str | Found]:
        match part:
            case str():
                if part:
                    yield part
            case Cell():
                yield from _read(part, media)
            case Slot(columns=columns, place=None | Place.ALL):
                for cell in cells:
                    if cell.column in columns if columns else cell.column not in named:
                        yield from _read(cell, media)
            case Slot(place=Place(place)):
                for cell in islice(left[place if is_mixed else Place.IMAGE], 1):
                    yield from _read(cell, media)

    return [list(chain.from_iterable(map(expand, turn.parts))) for turn in draft.turns]


def misplaced(draft: Draft, cells: Sequence[Cell]) -> str:
    """Why the row's media do not fit the places that a conversation has for them; empty where they do."""
    places = [part.place for turn in draft.turns for part in turn.parts if isinstance(part, Slot) and part.place]
    if not places or (places == [Place.ALL] and cells):
        return ""
    is_mixed = _is_mixed(cells)
    wanted = [place if is_mixed else Place.IMAGE for place in places]
    if sorted(wanted) == sorted(_place_of(cell, is_mixed) for cell in cells):
        return ""
    return f"the conversation has places for {len(places)} media, and those of the row are {len(cells) or 'none'}"


def _is_mixed(cells: Sequence[Cell]) -> bool:
    return len({cell.images_only for cell in cells}) > 1


def _place_of(cell: Cell, is_mixed: bool) -> Place:
    """Where a row has columns of images and of others, each goes to its own places."""
    return Place.IMAGE if cell.images_only or not is_mixed else Place.OTHER


def _read(cell: Cell, media: MediaReader) -> Iterator[Found]:
    try:
        content = media.read(cell)
    except MediaError as error:
        yield Found(cell, str(error))
    else:
        if content is not None:
            yield Found(cell, content)
