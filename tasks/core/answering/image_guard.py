"""Finds refusals that are an image's fault, and stops a run whose images all fall away before it pays for the texts.

Pure bookkeeping.
"""

import re

from tasks.core.answering.breaker import Stop
from tasks.core.errors import StopReason
from tasks.core.prompts.prepare import Prepared
from tasks.core.records import Kind, Outcome

FIRST_IMAGES = 10
PLAIN_REFUSAL = "contains an invalid argument"  # which one, the API does not say
_MEDIA = re.compile(r"image|\b(?:document|pdf|audio|video|media|mime type|file)\b", re.IGNORECASE)
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|[\d,.]*\d")  # names and numbers of one image


def blames_image(prepared: Prepared, outcome: Outcome) -> bool:
    """Whether the API could not read a medium, or may not: then the text goes alone, as for any that is broken."""
    if outcome.for_all_rows or not (prepared.request.media and prepared.request.text):
        return False
    if outcome.kind is Kind.IMAGE:
        return True
    return outcome.kind is Kind.INVALID_REQUEST and (
        names_media(outcome.detail) or PLAIN_REFUSAL in outcome.detail.lower()
    )


def names_media(detail: str) -> bool:
    """Whether the API says that it was a medium which it refused."""
    return _MEDIA.search(detail) is not None


class ImageGuard:
    """Looks at the first images only: once one is accepted, or they fall away for different reasons, all go on."""

    def __init__(self, allow_missing: bool) -> None:
        self._watching = not allow_missing
        self._fell_away: dict[int, str] = {}

    def accepted(self) -> None:
        """The model answered a request with an image."""
        self._watching = False

    def fell_away(self, row: int, why: str) -> Stop | None:
        """A Stop when no further row should go without its image."""
        if not self._watching:
            return None
        self._fell_away[row] = _PARTICULARS.sub("…", why)
        if len(self._fell_away) < FIRST_IMAGES:
            return None
        if len(set(self._fell_away.values())) > 1:
            self._watching = False
            return None
        return Stop(
            StopReason.IMAGES,
            f"the first {FIRST_IMAGES} images all fell away for one reason, the last with: {why}; "
            "--allow-missing-images goes on with the text alone",
        )
