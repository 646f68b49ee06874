"""What attempts before the one under way have kept, and what of it is worth keeping. Who decides that: compaction."""

from collections.abc import Iterable, Iterator

from tasks.core.checkpoint.table.columns import NAMED_ANSWERS, NEWEST_FIRST, TURN, answer_of, columns
from tasks.core.checkpoint.table.database import Database
from tasks.core.checkpoint.table.kept import KeptAnswers
from tasks.core.records import RowAnswer

_WANTED = """
LEFT JOIN (SELECT key, id, count(*) AS rows FROM sample GROUP BY key, id) AS wanted
ON wanted.key = answer.key AND wanted.id = answer.id
"""


class EarlierAnswers:
    """The answers of all attempts but the one under way."""

    def __init__(self, database: Database, kept: KeptAnswers) -> None:
        self._database, self._kept = database, kept

    def by_key(self, whole: bool) -> Iterator[tuple[int, RowAnswer, int | None]]:
        """(place, answer without its text, how many rows of the data want it), those of a key newest first.

        `whole`: the samples are all of the data's; else, and for what the data does not have, nobody knows: None.
        """
        self._kept.settle_turns()
        rows, wanted = ("wanted.rows", _WANTED) if whole else ("NULL", "")
        query = (
            f"SELECT answer.place, {rows}, {columns(text=False)} FROM answer JOIN attempt ON attempt = number {wanted} "
            f"WHERE NOT attempt.under_way ORDER BY answer.key, {TURN}"
        )
        for place, most, *values in self._database.run(query):
            yield place, answer_of(values), most

    def drop(self, places: Iterable[int]) -> None:
        """These answers are not worth keeping."""
        self._database.run("DELETE FROM superfluous")
        self._database.run_each("INSERT INTO superfluous VALUES (?)", ((place,) for place in places))

    def worth_keeping(self, loose_only: bool) -> Iterator[tuple[str, RowAnswer]]:
        """(attempt, answer) without what was dropped. `loose_only`: without what stands in a full record."""
        self._kept.settle_turns()
        which = "NOT attempt.under_way AND answer.place NOT IN (SELECT place FROM superfluous)"
        loose = "NOT answer.packed" if loose_only else "true"
        for name, *values in self._database.run(f"{NAMED_ANSWERS} WHERE {which} AND {loose} {NEWEST_FIRST}"):
            yield name, answer_of(values)
