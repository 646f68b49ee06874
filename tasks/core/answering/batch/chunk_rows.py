"""The rows of a chunk in batch mode: which have their answer, which go into another group, which are left over.

Pure bookkeeping.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from tasks.core.answering.batch.collecting import Result
from tasks.core.answering.image_guard import PLAIN_REFUSAL, names_media
from tasks.core.answering.item import Item
from tasks.core.details import Spent
from tasks.core.records import Kind, RowAnswer


class ChunkRows:
    """`items` can be gone through again and again. `most_groups`: that a row may be in and be left open."""

    def __init__(self, items: Iterable[Item], most_groups: int) -> None:
        self.without_media: dict[int, str] = {}
        self._items, self._most = items, most_groups
        self._groups = Counter[int]()
        self._done = set[int]()
        self._last: dict[int, RowAnswer] = {}  # of rows that were left open
        self._spent: dict[int, Spent] = {}

    def to_send(self) -> Iterator[Item]:
        """Those that go into the next groups."""
        for item in self._items:
            if item.sample.row not in self._done and self._groups[item.sample.row] < self._most:
                yield item

    def left(self) -> Iterator[tuple[Item, RowAnswer | None]]:
        """Those without an answer, with what came of them in the last group they were in."""
        for item in self._items:
            if item.sample.row not in self._done:
                yield item, self._last.get(item.sample.row)

    @property
    def some_open(self) -> bool:
        """Whether any was in a group, has no answer, and may go again."""
        return any(self._groups[row] < self._most for row in self._last)

    def done(self, row: int) -> None:
        self._done.add(row)
        self._last.pop(row, None)
        self._spent.pop(row, None)

    def note(self, result: Result) -> RowAnswer | None:
        """The row's answer, where this is its last."""
        row, outcome = result.planned.row, result.outcome
        answer = result.answer(self._spent.setdefault(row, Spent()))
        if _blames_media(result) and row not in self.without_media:
            self.without_media[row] = outcome.detail
            self._last[row] = answer
            return None
        if outcome.kind.retryable or (outcome.again and self._groups[row] + 1 < self._most):
            self._groups[row] += 1
            self._last[row] = answer
            return None
        self.done(row)
        return answer


def _blames_media(result: Result) -> bool:
    """As image_guard has it, of a row whose request is gone."""
    if not result.planned.has_image or result.outcome.kind is not Kind.INVALID_REQUEST:
        return False
    return names_media(result.outcome.detail) or PLAIN_REFUSAL in result.outcome.detail.lower()
