"""Stops a run whose images all fall away before the texts alone are paid for. Pure bookkeeping."""

import re

from tasks.core.answering.breaker import Stop
from tasks.core.errors import StopReason

FIRST_IMAGES = 10
_PARTICULARS = re.compile(r"'[^']*'|\"[^\"]*\"|[\d,.]*\d")  # names and numbers of one image


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
