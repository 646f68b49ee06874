"""Makes a sample ready to send: draft and media become a Request with its key. Sends nothing, knows no limits."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import DataUnavailable, MediaError
from tasks.core.keys import sample_key
from tasks.core.media.cell import Cell
from tasks.core.media.conversion import to_media
from tasks.core.media.kinds import name_of
from tasks.core.media.reading import WebFile
from tasks.core.prompts.draft import Draft, plain
from tasks.core.prompts.placing import Found, MediaReader, Placed, misplaced, placed
from tasks.core.records import Kind, Media, MediaUri, Outcome, Part, Request, Sample, Turn

MEDIUM_TOKENS = 1120  # the most a Gemini model bills for an image; the answer corrects it
LAYOUT, FAULT = "\0turns:", "\0fault:"  # no prompt begins like that
NOTHING_TO_SEND = Outcome(Kind.INPUT, detail="neither text nor image")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sample made ready to send. `fault`: why it cannot go at all.

    `media_note`: what it goes without, and why. `lacks_media`: it goes without a whole medium, not a frame of one.
    """

    request: Request
    key: str
    media_note: str = ""
    fault: Outcome | None = None
    lacks_media: bool = False


@dataclass(frozen=True, slots=True)
class _Notes:
    """Of the media of one sample: why some do not go out, and what of the others does not."""

    left_out: list[str] = field(default_factory=list)
    shortened: list[str] = field(default_factory=list)

    def text(self, media: int) -> str:
        """Where there are several `media`, how many are left out."""
        left_out = "; ".join(dict.fromkeys(self.left_out))
        if left_out and media > 1:
            left_out = f"{len(self.left_out)} of {media} left out: {left_out}"
        return "; ".join(filter(None, [left_out, *dict.fromkeys(self.shortened)]))


@dataclass(frozen=True, slots=True)
class Preparer:
    """How samples of a run become requests. `draft_of`: what is sent of one, before its media are read."""

    generation: GenerateConfig
    draft_of: Callable[[Sample], Draft] = field(default=lambda sample: plain(sample.text))

    def prepare(self, sample: Sample, media: MediaReader | None, without_media: str = "") -> Prepared:
        """See `ready`."""
        return self.ready(self.draft_of(sample), sample.row, media, without_media)

    def ready(self, draft: Draft, row: int, media: MediaReader | None, without_media: str = "") -> Prepared:
        """The request of a draft, with its key; without media that cannot be sent. `without_media`: why with none."""
        cells = media.cells(row) if media else []
        found = placed(draft, cells, media)
        notes = _Notes()
        turns = tuple(
            Turn(turn.role, tuple(_parts(parts, notes, bool(without_media))))
            for turn, parts in zip(draft.turns, found, strict=True)
        )
        request = Request(tuple(turn for turn in turns if turn.parts), draft.system_instruction)
        note = without_media or notes.text(sum(isinstance(part, Found) for parts in found for part in parts))
        lacks = bool(without_media or notes.left_out)
        fault = draft.fault or (misplaced(draft, cells) if media else "")
        return Prepared(request, self._key(draft, found), note, _fault(fault, request), lacks)

    def key_of(self, sample: Sample, media: MediaReader | None) -> str:
        """The key that `prepare` gives, without making media ready; empty where that cannot be told.

        Raises:
            DataUnavailable: nobody can say at present.
        """
        draft = self.draft_of(sample)
        try:
            return self._key(draft, placed(draft, media.cells(sample.row) if media else [], media))
        except DataUnavailable:  # with another key, a row that is answered would be paid for again
            raise
        except Exception:  # the row meets it again when it is to be sent, and it is that row's
            return ""

    def _key(self, draft: Draft, found: Placed) -> str:
        own = draft.system_instruction
        generation = self.generation if own is None else self.generation.with_system_instruction(own)
        media = [part.of_key for parts in found for part in parts if isinstance(part, Found)]
        text = f"{FAULT}{draft.fault}{_layout(draft, found)}" if draft.fault else _layout(draft, found)
        return sample_key(generation.fingerprint, text, *media)


def _parts(found: Sequence[str | Found], notes: _Notes, text_only: bool) -> Iterator[Part]:
    """What goes out; `notes` gets a line for each medium that does not, or not all of it."""
    for part in found:
        if isinstance(part, str):
            yield part
        elif isinstance(part.content, str):
            notes.left_out.append(part.content)
        elif not text_only:
            try:
                ready = _ready(part.cell, part.content)
            except MediaError as error:
                notes.left_out.append(str(error))
            else:
                notes.shortened.extend([ready.note] if isinstance(ready, Media) and ready.note else [])
                yield ready


def _ready(cell: Cell, content: bytes | MediaUri | WebFile) -> Media | MediaUri:
    if not isinstance(content, MediaUri):
        data = content.fetch() if isinstance(content, WebFile) else content
        return replace(to_media(data, cell.images_only), name=cell.name)
    if cell.images_only and content.mime_type and not content.mime_type.startswith("image/"):
        raise MediaError(f"{name_of(content.mime_type)}, not an image; --media-column sends it")
    return content


def _fault(fault: str, request: Request) -> Outcome | None:
    if fault:
        return Outcome(Kind.INPUT, detail=fault)
    return None if request.media or request.text.strip() else NOTHING_TO_SEND


def _layout(draft: Draft, found: Placed) -> str:
    """How text and media stand. The text alone where one turn has its media first, as a plain prompt has."""
    [first, *others] = found or [[]]
    texts = [part for part in first if isinstance(part, str)]
    is_plain = not others and len(texts) <= 1 and (not texts or first[-1] is texts[0]) and draft.turns[0].role == "user"
    if is_plain and not "".join(texts).startswith((LAYOUT, FAULT)):
        return "".join(texts)
    parts = [[part if isinstance(part, str) else 0 for part in of_turn] for of_turn in found]
    return LAYOUT + json.dumps([[turn.role, of_turn] for turn, of_turn in zip(draft.turns, parts, strict=True)])
