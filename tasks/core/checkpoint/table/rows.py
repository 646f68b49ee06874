"""The answers that the rows of the run have: matched before it, or arrived in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tasks.core.checkpoint.table.columns import answer_of, columns
from tasks.core.checkpoint.table.database import Database, marks
from tasks.core.checkpoint.table.kept import KeptAnswers
from tasks.core.records import SUCCESSES, Kind, RowAnswer

_ROWS = f"""
SELECT of_row.shared, {columns("of_row.row", "coalesce(sample.id, answer.id)")} FROM of_row JOIN answer USING (place)
LEFT JOIN response USING (place) LEFT JOIN sample ON sample.row = of_row.row
"""
_GROUPS = """
SELECT kind, answered_by, service_tier, shared, count(*), sum(has_image), sum(image_note != ''), sum(timeouts),
    sum(lost), sum(prompt_tokens), sum(answer_tokens), sum(cached_tokens), sum(thought_tokens)
FROM of_row JOIN answer USING (place) GROUP BY kind, answered_by, service_tier, shared
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Some answers of the run that are alike in kind, model and service tier, counted.

    `shared`: another row of the run has them as well, and they are counted as paid there.
    """

    kind: Kind
    answered_by: str
    service_tier: str
    shared: bool
    rows: int
    images: int
    image_notes: int
    timeouts: int
    lost: int
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int
    thought_tokens: int


class RunRows:
    """Answers by row of the run."""

    def __init__(self, database: Database, kept: KeptAnswers) -> None:
        self._database, self._kept = database, kept

    def answer(self, attempt: str, answers: Iterable[RowAnswer]) -> None:
        """Keep answers of the run's own `attempt`, which are those to its rows."""
        self._kept.know(attempt)
        self._database.run("UPDATE attempt SET under_way = 1 WHERE name = ?", attempt)
        places = self._kept.add(attempt, answers)
        query = "INSERT OR REPLACE INTO of_row SELECT row, place, 0 FROM answer WHERE place >= ?"
        self._database.run(query, places.start)

    def of_rows(self, span: range) -> dict[int, RowAnswer]:
        """The answers to these rows of the run, those that have one."""
        rows = self._database.run(f"{_ROWS} WHERE of_row.row BETWEEN ? AND ?", span.start, span.stop - 1)
        return {answer.row: answer for answer in map(_answer_of, rows)}

    def failed(self, most: int) -> list[RowAnswer]:
        """The first rows of the run that ended without a text."""
        return self._first("NOT IN", most)

    def answered(self, most: int) -> list[RowAnswer]:
        """The first rows of the run that have one."""
        return self._first("IN", most)

    def _first(self, among: str, most: int) -> list[RowAnswer]:
        query = f"{_ROWS} WHERE answer.kind {among} ({marks(SUCCESSES)}) ORDER BY of_row.row LIMIT {most}"
        return [_answer_of(row) for row in self._database.run(query, *SUCCESSES)]

    def groups(self) -> list[Group]:
        """What the rows of the run came to."""
        rows = self._database.run(_GROUPS)
        return [
            Group(Kind(kind), answered_by, service_tier, bool(shared), *rest)
            for kind, answered_by, service_tier, shared, *rest in rows
        ]


def _answer_of(values: Iterable[Any]) -> RowAnswer:
    shared, *rest = values
    answer = answer_of(rest)
    return answer.repeated() if shared else answer
