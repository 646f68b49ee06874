"""A sample on its way to an answer: it becomes a request only when its turn comes. Sends nothing."""

import asyncio
import sys
from dataclasses import dataclass, field, replace

from tasks.core.answering.deadline import Deadline
from tasks.core.answering.row_answer import row_answer
from tasks.core.details import Spent
from tasks.core.prompts.draft import Draft
from tasks.core.prompts.placing import MediaReader
from tasks.core.prompts.prepare import MEDIUM_TOKENS, NOTHING_TO_SEND, Prepared, Preparer
from tasks.core.records import Kind, Outcome, RowAnswer, Sample

AS_OFTEN_AS_ANY = sys.maxsize  # nothing was sent, so nothing is billed


@dataclass(frozen=True, slots=True)
class Item:
    """A sample, and how it is made ready to send.

    `media`: None where the data has none. `unread`: why the sample could not be read; then it has its row alone.
    """

    sample: Sample
    preparer: Preparer
    media: MediaReader | None = None
    unread: str = ""
    draft: Draft = field(init=False)  # a template is rendered once

    def __post_init__(self) -> None:
        object.__setattr__(self, "draft", self.preparer.draft_of(self.sample))

    @property
    def tokens(self) -> int:
        """Prompt tokens, on the high side: a token is rarely shorter than 3 bytes of UTF-8."""
        return (
            len(self.draft.text.encode("utf-8", "surrogatepass")) // 3 + 1 + (MEDIUM_TOKENS if self._has_media else 0)
        )

    @property
    def fault(self) -> Outcome | None:
        """Why it cannot be sent, as far as can be told without reading media."""
        if self.unread:
            return Outcome(Kind.SERVER_ERROR, detail=f"the row could not be read: {self.unread}", again=0)
        is_empty = not self._has_media and not self.draft.fault and not self.draft.text.strip()
        return NOTHING_TO_SEND if is_empty else None

    @property
    def _has_media(self) -> bool:
        """Whether there may be media, as far as can be told without reading."""
        return self.media is not None and (self.media.has_columns or self.draft.has_media)

    async def prepare(self, deadline: Deadline, without_media: str = "") -> Prepared:
        """Its request. Never raises: what goes wrong is an outcome, the `fault`. `without_media`: why it goes without.

        Media are read in a thread, within `deadline`, and are not kept here: they take memory.
        """
        if fault := self.fault:
            return self.failed(fault)
        if not self._has_media:
            return self._ready(None)
        try:
            async with deadline:
                return await asyncio.to_thread(self._ready, self.media, without_media)
        except OSError as error:  # a TimeoutError among them
            return self.failed(_unread(error, deadline.seconds))
        except Exception as error:  # a reader's own
            return self.failed(mishandled(error))

    def failed(self, fault: Outcome) -> Prepared:
        """What stands for it where it could not be made ready, or was not: its text alone."""
        return replace(self._ready(None), fault=fault)

    def answer_of(self, prepared: Prepared, outcome: Outcome, spent: Spent | None = None) -> RowAnswer:
        """What is kept of it. `spent`: what its requests have taken, if there were any."""
        sample, has_image = self.sample, bool(prepared.request.media)
        return row_answer(
            sample.row,
            sample.id,
            prepared.key,
            outcome,
            spent or Spent(),
            has_image=has_image,
            image_note=prepared.media_note,
        )

    def _ready(self, media: MediaReader | None, without_media: str = "") -> Prepared:
        return self.preparer.ready(self.draft, self.sample.row, media, without_media)


def mishandled(error: Exception) -> Outcome:
    """What a row ends as that met an error nobody thought of."""
    return Outcome(Kind.SERVER_ERROR, detail=f"the row could not be handled: {type(error).__name__}: {error}", again=0)


def _unread(error: OSError, seconds: float) -> Outcome:
    if error.errno:
        detail = f"the image could not be read: {error.strerror}"
        return Outcome(Kind.SERVER_ERROR, detail=detail, again=AS_OFTEN_AS_ANY)
    return Outcome(Kind.TIMEOUT, detail=f"the image was not read within {seconds:g} s", again=AS_OFTEN_AS_ANY)
