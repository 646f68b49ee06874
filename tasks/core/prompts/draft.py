"""What is sent of a sample, before its media are read: who says what, and where the media stand. Plain values."""

from dataclasses import dataclass
from enum import StrEnum

from tasks.core.media.cell import Cell


class Place(StrEnum):
    """What of a row's media stands where a conversation has a place for them."""

    ALL = "all"
    IMAGE = "image"  # the next one
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where media of the row stand. `columns`: those of which they are; None: all that stand nowhere else.

    `place`: that of a conversation, which the row's media must fit.
    """

    columns: frozenset[str] | None = None
    place: Place | None = None


type DraftPart = str | Slot | Cell


@dataclass(frozen=True, slots=True)
class DraftTurn:
    """See records.Turn."""

    role: str
    parts: tuple[DraftPart, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """`system_instruction`: of this sample alone; None: that of the run. `fault`: why it cannot be sent at all."""

    turns: tuple[DraftTurn, ...]
    system_instruction: str | None = None
    fault: str = ""

    @property
    def text(self) -> str:
        return "\n".join(part for turn in self.turns for part in turn.parts if isinstance(part, str))

    @property
    def has_media(self) -> bool:
        """Whether it brings media of its own, or has places that the row's must fit."""
        parts = [part for turn in self.turns for part in turn.parts]
        return any(isinstance(part, Cell) or (isinstance(part, Slot) and part.place is not None) for part in parts)


def plain(text: str) -> Draft:
    """Media first, then the text."""
    return Draft((DraftTurn("user", (Slot(), text)),))
