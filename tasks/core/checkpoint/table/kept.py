"""The attempts of a job, and the answers that they have kept. Must not know the rows of the run."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import batched

from tasks.core.checkpoint.table.columns import NAMED_ANSWERS, NEWEST_FIRST, STORED, TURN, answer_of, stored
from tasks.core.checkpoint.table.database import AT_ONCE, Database, marks
from tasks.core.records import RowAnswer

OLDEST = datetime.min.replace(tzinfo=UTC)
# Of two answers of one attempt to one row (a chunk may have been sent twice, by two machines), a finished one counts.
_KEEP = f"""
INSERT INTO answer (place, attempt, packed, retryable, {", ".join(STORED)}) VALUES (?, ?, ?, ?{", ?" * len(STORED)})
ON CONFLICT (attempt, row) DO UPDATE SET place = excluded.place, packed = answer.packed OR excluded.packed,
    retryable = excluded.retryable, {", ".join(f"{name} = excluded.{name}" for name in STORED)}
WHERE answer.retryable OR NOT excluded.retryable
"""
_TURNS = """
UPDATE attempt SET turn = newest.turn
FROM (SELECT number, row_number() OVER (ORDER BY created DESC, number) AS turn FROM attempt) AS newest
WHERE attempt.number = newest.number
"""
_NEWEST = f"SELECT retryable, min({TURN}) FROM answer JOIN attempt ON attempt = number GROUP BY key, id"


class KeptAnswers:
    """Answers by attempt and row of that attempt. Each has a place, which rises as they are added."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._places = 0
        self._turns_known = False

    def know(self, attempt: str, created: datetime = OLDEST, settings: str = "") -> None:
        """Note an attempt, or when it began."""
        run = self._database.run
        run("INSERT OR IGNORE INTO attempt (name, created, settings) VALUES (?, ?, '')", attempt, _text(OLDEST))
        if created != OLDEST:
            run("UPDATE attempt SET created = ?, settings = ? WHERE name = ?", _text(created), settings, attempt)
        self._turns_known = False

    def add(self, attempt: str, answers: Iterable[RowAnswer], packed: bool = False) -> range:
        """Add what an attempt has kept; returns the places. `packed`: it stands in a full record."""
        self.know(attempt)
        number, start = int(self._database.one("SELECT number FROM attempt WHERE name = ?", attempt)), self._places
        for some in batched(answers, AT_ONCE):
            first, self._places = self._places, self._places + len(some)
            numbered = list(enumerate(some, first))
            rows = [(place, number, packed, answer.retryable, *stored(answer)) for place, answer in numbered]
            self._database.run_each(_KEEP, rows)
            texts = [(place, a.response, a.details) for place, a in numbered if a.response or a.details]
            self._database.run_each("INSERT INTO response VALUES (?, ?, ?)", texts)
        return range(start, self._places)

    def __len__(self) -> int:
        return int(self._database.one("SELECT count(*) FROM answer"))

    def distinct(self) -> tuple[int, int]:
        """How many samples have an answer, and of how many the newest is retryable."""
        self.settle_turns()
        query = f"SELECT count(*), coalesce(sum(retryable), 0) FROM ({_NEWEST})"
        rows, retryable = self._database.run(query).fetchone()
        return rows, retryable

    def attempts(self) -> dict[str, tuple[datetime, str]]:
        """When each began and with which settings, the newest first."""
        self.settle_turns()
        rows = self._database.run("SELECT name, created, settings FROM attempt ORDER BY turn")
        return {name: (datetime.fromisoformat(created), settings) for name, created, settings in rows}

    def newest_first(self, attempts: Collection[str] | None = None) -> Iterator[RowAnswer]:
        """The answers of all attempts, or of these."""
        for _, answer in self.by_attempt(attempts):
            yield answer

    def by_attempt(
        self, attempts: Collection[str] | None = None, *, finished_only: bool = False
    ) -> Iterator[tuple[str, RowAnswer]]:
        """(attempt, answer) of all attempts, or of these; the newest attempt first."""
        self.settle_turns()
        of = "true" if attempts is None else f"attempt.name IN ({marks(attempts)})"
        which = "NOT answer.retryable" if finished_only else "true"
        rows = self._database.run(f"{NAMED_ANSWERS} WHERE {of} AND {which} {NEWEST_FIRST}", *(attempts or ()))
        for name, *values in rows:
            yield name, answer_of(values)

    def settle_turns(self) -> None:
        """Before a question about turns. They are found out then: there may be hundreds of attempts."""
        if not self._turns_known:
            self._database.run(_TURNS)
            self._turns_known = True


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat() if moment != OLDEST else OLDEST.isoformat()
