"""All answers of a job in one table, and which of them belongs to which row of the run. Knows SQL, and no storage.

A private temporary database of SQLite: in memory while the answers are few, in a file without a name once they are
many (more than CACHE_MB), and gone with the process either way. So a run of a million rows needs no more memory than
one of a thousand, and its rows are read in the order of the data, whatever order their answers came in.

Not thread-safe: one thread at a time.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import batched
from operator import attrgetter
from typing import Any, NamedTuple

from tasks.core.checkpoint.layout import StorageError
from tasks.core.records import SUCCESSES, Kind, RowAnswer

CACHE_MB = 64
AT_ONCE = 500  # rows read or written with one statement
OLDEST = datetime.min.replace(tzinfo=UTC)
_NAMES = tuple(field.name for field in fields(RowAnswer))
_SLIM = tuple(name for name in _NAMES if name != "response")
_KINDS = {kind.value: kind for kind in Kind}
_slim = attrgetter(*_SLIM)
_SCHEMA = f"""
PRAGMA cache_size = -{CACHE_MB * 1000};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE attempt (number INTEGER PRIMARY KEY, name TEXT UNIQUE, created TEXT, settings TEXT, turn INTEGER);
CREATE TABLE answer (place INTEGER PRIMARY KEY, attempt INTEGER, packed INTEGER, retryable INTEGER,
                     {", ".join(_SLIM)}, UNIQUE (attempt, row));
CREATE TABLE response (place INTEGER PRIMARY KEY, text TEXT);  -- apart: most questions are not about the texts
CREATE TABLE sample (row INTEGER PRIMARY KEY, key TEXT, id TEXT);
CREATE TABLE of_row (row INTEGER PRIMARY KEY, place INTEGER);  -- the answer to a row of the run
CREATE TABLE candidate (place INTEGER PRIMARY KEY, key TEXT, id TEXT, turn INTEGER, usable INTEGER, retryable INTEGER);
CREATE TABLE superfluous (place INTEGER PRIMARY KEY);
"""
# Of two answers of one attempt to one row (a chunk may have been sent twice, by two machines), a finished one counts.
_KEEP = f"""
INSERT INTO answer (place, attempt, packed, retryable, {", ".join(_SLIM)}) VALUES (?, ?, ?, ?{", ?" * len(_SLIM)})
ON CONFLICT (attempt, row) DO UPDATE SET place = excluded.place, packed = answer.packed OR excluded.packed,
    retryable = excluded.retryable, {", ".join(f"{name} = excluded.{name}" for name in _SLIM)}
WHERE answer.retryable OR NOT excluded.retryable
"""
_TURNS = """
UPDATE attempt SET turn = newest.turn
FROM (SELECT number, row_number() OVER (ORDER BY created DESC, number) AS turn FROM attempt) AS newest
WHERE attempt.number = newest.number
"""
_TURN = "(attempt.turn << 40) + answer.place"  # newest attempt first, then as they were read
_MATCH = """
INSERT INTO of_row SELECT asked.row, kept.place
FROM (SELECT row, {by}, row_number() OVER (PARTITION BY {by} ORDER BY row) AS number
      FROM sample WHERE row NOT IN (SELECT row FROM of_row)) AS asked
JOIN (SELECT place, {by}, row_number() OVER (PARTITION BY {by} ORDER BY turn) AS number
      FROM candidate WHERE usable AND place NOT IN (SELECT place FROM of_row)) AS kept USING ({by}, number)
"""
_UNMATCHED = """
SELECT sample.row, refused.retryable, sample.id IN (SELECT id FROM candidate)
FROM sample LEFT JOIN of_row USING (row)
LEFT JOIN (SELECT key, retryable, min(turn) FROM candidate WHERE NOT usable GROUP BY key) AS refused USING (key)
WHERE of_row.place IS NULL ORDER BY sample.row
"""
_WANTED = "SELECT EXISTS (SELECT 1 FROM sample LEFT JOIN of_row USING (row) WHERE key = ? AND place IS NULL)"


class Unmatched(NamedTuple):
    """A row that needs a request. `again`: of an answer that may not be used, whether it is retryable; None: none."""

    row: int
    again: bool | None
    is_known: bool  # its id has an answer to something else


@dataclass(frozen=True, slots=True)
class Group:
    """Some answers of the run that are alike in kind and model, counted."""

    kind: Kind
    answered_by: str
    rows: int
    images: int
    image_notes: int
    timeouts: int
    prompt_tokens: int
    answer_tokens: int


class AnswerTable:
    """Answers by attempt and row of that attempt; samples and their answers by row of the run."""

    def __init__(self) -> None:
        self._places = 0
        self._own = -1  # the attempt under way
        self._turns_known = False
        with _as_storage_error():
            self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._database.executescript(_SCHEMA)
            self._database.execute("BEGIN")  # one transaction for life: nobody else is there to see it

    # Attempts and what they have kept

    def know(self, attempt: str, created: datetime = OLDEST, settings: str = "") -> None:
        """Note an attempt, or when it began."""
        self._run("INSERT OR IGNORE INTO attempt (name, created, settings) VALUES (?, ?, '')", attempt, _text(OLDEST))
        if created != OLDEST:
            self._run("UPDATE attempt SET created = ?, settings = ? WHERE name = ?", _text(created), settings, attempt)
        self._turns_known = False

    def keep(self, attempt: str, answers: Iterable[RowAnswer], packed: bool = False) -> None:
        """Add what an attempt has kept. `packed`: it stands in a full record."""
        number = self._number(attempt)
        with _as_storage_error():
            for some in batched(answers, AT_ONCE):
                first, self._places = self._places, self._places + len(some)
                numbered = list(enumerate(some, first))
                self._database.executemany(
                    _KEEP, [(place, number, packed, answer.retryable, *_slim(answer)) for place, answer in numbered]
                )
                texts = [(place, answer.response) for place, answer in numbered if answer.response]
                self._database.executemany("INSERT INTO response VALUES (?, ?)", texts)

    def distinct(self) -> tuple[int, int]:
        """How many samples have an answer, and of how many the newest is retryable."""
        self._settle_turns()
        query = f"SELECT retryable, min({_TURN}) FROM answer JOIN attempt ON attempt = number GROUP BY key, id"
        rows, retryable = self._run(f"SELECT count(*), coalesce(sum(retryable), 0) FROM ({query})").fetchone()
        return rows, retryable

    def attempts(self) -> dict[str, tuple[datetime, str]]:
        """When each began and with which settings, the newest first."""
        self._settle_turns()
        rows = self._run("SELECT name, created, settings FROM attempt ORDER BY turn")
        return {name: (datetime.fromisoformat(created), settings) for name, created, settings in rows}

    def __len__(self) -> int:
        return int(self._one("SELECT count(*) FROM answer"))

    def newest_first(self, attempts: Collection[str] | None = None, where: str = "true") -> Iterator[RowAnswer]:
        """The answers of all attempts, or of these."""
        for _, answer in self.by_attempt(attempts, where):
            yield answer

    def by_attempt(
        self, attempts: Collection[str] | None = None, where: str = "true"
    ) -> Iterator[tuple[str, RowAnswer]]:
        """(attempt, answer), the newest attempt first."""
        self._settle_turns()
        of = "true" if attempts is None else f"attempt.name IN ({_marks(attempts)})"
        rows = self._run(
            f"SELECT attempt.name, {_columns('answer.row', 'answer.id')} FROM answer "
            "JOIN attempt ON answer.attempt = attempt.number LEFT JOIN response USING (place) "
            f"WHERE {of} AND {where} ORDER BY attempt.turn, answer.place",
            *(attempts or ()),
        )
        for name, *values in rows:
            yield name, _answer(values)

    # The rows of the run

    def ask(self, samples: Iterable[tuple[str, str]]) -> None:
        """The (key, id) of every row of the run, in the order of the data."""
        with _as_storage_error():
            self._database.execute("DELETE FROM sample")
            numbered = ((row, key, sample_id) for row, (key, sample_id) in enumerate(samples))
            for some in batched(numbered, AT_ONCE):
                self._database.executemany("INSERT INTO sample VALUES (?, ?, ?)", some)

    @property
    def asked(self) -> int:
        return int(self._one("SELECT count(*) FROM sample"))

    def match(self, own: Collection[str] = (), others: bool = True, retry_kinds: Collection[Kind] = ()) -> int:
        """Give rows the finished answers to them, each to one row; returns how many have one.

        An answer of the same id goes before one of another, a newer before an older one. Attempts of the run's `own`
        are the newest, and their answers are not asked again by `retry_kinds`, as those of `others` are.
        """
        self._settle_turns()
        owned = f"attempt.name IN ({_marks(own)})"
        kinds = f"kind IN ({_marks(retry_kinds)})"
        without_image = "image_note != ''" if Kind.IMAGE in retry_kinds else "false"
        self.unmatch()
        self._run("DELETE FROM candidate")
        self._run(
            f"INSERT INTO candidate SELECT place, key, id, {_TURN} - (({owned}) << 60), "
            f"NOT retryable AND ({owned} OR NOT ({kinds} OR {without_image})), retryable "
            f"FROM answer JOIN attempt ON attempt = number WHERE {'true' if others else owned}",
            *(*own, *own, *retry_kinds, *(() if others else own)),
        )
        for by in ("key, id", "key"):
            self._run(_MATCH.format(by=by))
        return self.matched

    def unmatch(self) -> None:
        """No row of the run has an answer."""
        self._run("DELETE FROM of_row")

    @property
    def matched(self) -> int:
        """Rows of the run that have an answer."""
        return int(self._one("SELECT count(*) FROM of_row"))

    def unmatched(self) -> Iterator[Unmatched]:
        """The rows without an answer, in order, as `match` has left them."""
        for row, again, is_known in self._run(_UNMATCHED):
            yield Unmatched(row, None if again is None else bool(again), bool(is_known))

    def match_failures(self) -> None:
        """Give rows that have none the newest failure of the same key, after `match`."""
        self._run(
            "INSERT INTO of_row SELECT sample.row, failed.place FROM sample JOIN (SELECT key, place, min(turn) "
            "FROM candidate WHERE retryable GROUP BY key) AS failed USING (key) "
            "WHERE sample.row NOT IN (SELECT row FROM of_row)"
        )

    def wants(self, key: str) -> bool:
        """Whether a row without an answer has this key."""
        self._run("CREATE INDEX IF NOT EXISTS sample_key ON sample (key)")
        return bool(self._one(_WANTED, key))

    def answer(self, attempt: str, answers: Iterable[RowAnswer]) -> None:
        """Keep answers of the run's own `attempt`, which are those to its rows."""
        first, self._own = self._places, self._number(attempt)
        self.keep(attempt, answers)
        self._run(
            "INSERT OR REPLACE INTO of_row SELECT row, place FROM answer WHERE place >= ? AND attempt = ?",
            *(first, self._own),
        )

    def of_rows(self, span: range) -> dict[int, RowAnswer]:
        """The answers to these rows of the run, those that have one."""
        rows = self._run(_rows_query("of_row.row BETWEEN ? AND ?"), span.start, span.stop - 1)
        return {answer.row: answer for answer in map(_answer, rows)}

    def failed(self, most: int) -> list[RowAnswer]:
        """The first rows of the run that ended without a text."""
        query = _rows_query(f"answer.kind NOT IN ({_marks(SUCCESSES)}) ORDER BY of_row.row LIMIT {most}")
        return [_answer(row) for row in self._run(query, *SUCCESSES)]

    def groups(self) -> list[Group]:
        """What the rows of the run came to."""
        rows = self._run(
            "SELECT kind, answered_by, count(*), sum(has_image), sum(image_note != ''), sum(timeouts), "
            "sum(prompt_tokens), sum(answer_tokens) FROM of_row JOIN answer USING (place) GROUP BY kind, answered_by"
        )
        return [Group(Kind(kind), *rest) for kind, *rest in rows]

    # Which answers are worth keeping, of those that earlier attempts have left

    def by_key(self, whole: bool) -> Iterator[tuple[int, RowAnswer, int | None]]:
        """(place, answer without its text, how many rows of the data want it), those of a key newest first.

        `whole`: the samples are all of the data's; else, and for what the data does not have, nobody knows: None.
        """
        self._settle_turns()
        wanted = "(SELECT key, id, count(*) AS rows FROM sample GROUP BY key, id)" if whole else "sample"
        rows = "wanted.rows" if whole else "NULL"
        on = "wanted.key = answer.key AND wanted.id = answer.id" if whole else "false"
        query = (
            f"SELECT answer.place, {rows}, {_columns('answer.row', 'answer.id', text=False)} FROM answer "
            f"JOIN attempt ON attempt = number LEFT JOIN {wanted} AS wanted ON {on} "
            f"WHERE attempt != ? ORDER BY answer.key, {_TURN}"
        )
        for place, most, *values in self._run(query, self._own):
            yield place, _answer(values), most

    def drop(self, places: Iterable[int]) -> None:
        """These answers are not worth keeping."""
        self._run("DELETE FROM superfluous")
        with _as_storage_error():
            self._database.executemany("INSERT INTO superfluous VALUES (?)", ((place,) for place in places))

    def worth_keeping(self, loose_only: bool) -> Iterator[tuple[str, RowAnswer]]:
        """(attempt, answer) without what was dropped. `loose_only`: without what stands in a full record."""
        where = f"attempt.number != {self._own} AND answer.place NOT IN (SELECT place FROM superfluous)"
        return self.by_attempt(where=f"{where} AND NOT answer.packed" if loose_only else where)

    def _number(self, attempt: str) -> int:
        self.know(attempt)
        return int(self._one("SELECT number FROM attempt WHERE name = ?", attempt))

    def _settle_turns(self) -> None:
        """Whose turn it is, newest first, is found out when somebody asks: there may be hundreds of attempts."""
        if not self._turns_known:
            self._run(_TURNS)
            self._turns_known = True

    def _one(self, query: str, *values: Any) -> Any:
        return self._run(query, *values).fetchone()[0]

    def _run(self, query: str, *values: Any) -> sqlite3.Cursor:
        with _as_storage_error():
            return self._database.execute(query, values)


def _columns(row: str, sample_id: str, text: bool = True) -> str:
    """The columns that make a RowAnswer, in the order of its fields."""
    special = {"row": row, "id": sample_id, "response": "coalesce(response.text, '')" if text else "''"}
    return ", ".join(special.get(name, f"answer.{name}") for name in _NAMES)


def _rows_query(where: str) -> str:
    return (
        f"SELECT {_columns('of_row.row', 'coalesce(sample.id, answer.id)')} FROM of_row JOIN answer USING (place) "
        f"LEFT JOIN response USING (place) LEFT JOIN sample ON sample.row = of_row.row WHERE {where}"
    )


def _answer(values: Iterable[Any]) -> RowAnswer:
    row, sample_id, key, kind, has_image, *rest = values
    return RowAnswer(row, sample_id, key, _KINDS[kind], bool(has_image), *rest)


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat() if moment != OLDEST else OLDEST.isoformat()


@contextmanager
def _as_storage_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        way_out = "SQLITE_TMPDIR names a folder with more room"
        raise StorageError(f"the temporary file of this run's answers cannot be used: {error}; {way_out}") from error
