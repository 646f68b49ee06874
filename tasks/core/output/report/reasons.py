"""What went wrong, grouped: rows of one kind whose detail is the same but for numbers. Knows no page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tasks.core.records import SUCCESSES, Kind, RowAnswer
from tasks.core.text import one_line

MOST_GROUPS, MOST_CHARS, EXAMPLES = 60, 300, 5
_VARIES = re.compile(r"(?<![\d.])(?![45]\d\d\b(?!\.\d))\d+(?:[.,:]\d+)*")  # any number but an HTTP status
OTHERS = "other reasons"


@dataclass(slots=True)
class Reason:
    """`kind`: also `image`, beside a success. `rows`: the first of them."""

    kind: Kind
    text: str
    count: int = 0
    rows: list[int] = field(default_factory=list)


class Reasons:
    """So many groups; what comes when there are more is counted for each kind."""

    def __init__(self) -> None:
        self._found: dict[tuple[Kind, str], Reason] = {}

    def add(self, answer: RowAnswer) -> None:
        for kind, detail in _told(answer):
            text = _VARIES.sub("#", one_line(detail, MOST_CHARS))
            if (kind, text) not in self._found and len(self._found) >= MOST_GROUPS:
                text = OTHERS
            reason = self._found.setdefault((kind, text), Reason(kind, text))
            reason.count += 1
            if len(reason.rows) < EXAMPLES:
                reason.rows.append(answer.row)

    def most_first(self) -> list[Reason]:
        return sorted(self._found.values(), key=lambda reason: -reason.count)


def _told(answer: RowAnswer) -> Iterator[tuple[Kind, str]]:
    if answer.kind not in SUCCESSES or answer.kind is Kind.TRUNCATED:
        yield answer.kind, answer.detail or "no reason was told"
    if answer.image_note:
        yield Kind.IMAGE, answer.image_note
