"""Which of the answers that were kept serves which row of the run, before anything is sent."""

from collections.abc import Collection, Iterable, Iterator
from itertools import batched
from typing import NamedTuple

from tasks.core.checkpoint.table.columns import TURN
from tasks.core.checkpoint.table.database import AT_ONCE, Database, marks
from tasks.core.checkpoint.table.kept import KeptAnswers
from tasks.core.records import Kind

_MATCH = """
INSERT INTO of_row SELECT asked.row, kept.place, 0
FROM (SELECT row, {by}, row_number() OVER (PARTITION BY {by} ORDER BY row) AS number
      FROM sample WHERE row NOT IN (SELECT row FROM of_row)) AS asked
JOIN (SELECT place, {by}, row_number() OVER (PARTITION BY {by} ORDER BY turn) AS number
      FROM candidate WHERE usable AND place NOT IN (SELECT place FROM of_row)) AS kept USING ({by}, number)
"""
# The newest of a key that are `{which}`, to all rows of that key which have none.
_SHARE = """
INSERT INTO of_row SELECT row, place, place IN (SELECT place FROM of_row) OR number > 1
FROM (SELECT asked.row, kept.place, row_number() OVER (PARTITION BY kept.place ORDER BY asked.row) AS number
      FROM (SELECT row, key FROM sample WHERE key != '' AND row NOT IN (SELECT row FROM of_row)) AS asked
      CROSS JOIN (SELECT key, place, min(turn) FROM candidate WHERE {which} GROUP BY key) AS kept USING (key))
"""
_UNMATCHED = """
SELECT sample.row, refused.retryable, sample.id IN (SELECT id FROM candidate), sample.key
FROM sample LEFT JOIN of_row USING (row)
LEFT JOIN (SELECT key, retryable, min(turn) FROM candidate WHERE NOT usable GROUP BY key) AS refused USING (key)
WHERE of_row.place IS NULL AND sample.row NOT IN (SELECT row FROM repeat) ORDER BY sample.row
"""
_WANTED = "SELECT EXISTS (SELECT 1 FROM sample LEFT JOIN of_row USING (row) WHERE key = ? AND place IS NULL)"


class Unmatched(NamedTuple):
    """A row that needs a request. `again`: of an answer that may not be used, whether it is retryable; None: none."""

    row: int
    again: bool | None
    is_known: bool  # its id has an answer to something else
    key: str


class Matching:
    """The samples of the run, and the answers that they are given.

    `match` lays candidates out, for `unmatched` and `match_failures`, until `forget_candidates`.
    """

    def __init__(self, database: Database, kept: KeptAnswers) -> None:
        self._database, self._kept = database, kept

    def ask(self, samples: Iterable[tuple[str, str]]) -> None:
        """The (key, id) of every row of the run, in the order of the data."""
        self._database.run("DELETE FROM sample")
        numbered = ((row, key, sample_id) for row, (key, sample_id) in enumerate(samples))
        for some in batched(numbered, AT_ONCE):
            self._database.run_each("INSERT INTO sample VALUES (?, ?, ?)", some)

    @property
    def asked(self) -> int:
        return int(self._database.one("SELECT count(*) FROM sample"))

    def match(
        self,
        own: Collection[str] = (),
        others: bool = True,
        retry_kinds: Collection[Kind] = (),
        share: bool = True,
    ) -> int:
        """Give rows the finished answers to them; returns how many have one.

        An answer of the same id goes before one of another, a newer before an older one. Attempts of the run's `own`
        are the newest, and their answers are not asked again by `retry_kinds`, as those of `others` are. Each answer
        goes to one row; with `share`, rows that are left get the newest that there is to what they ask.
        """
        self.unmatch()
        self._lay_out(own, others, retry_kinds)
        for by in ("key, id", "key"):
            self._database.run(_MATCH.format(by=by))
        if share:
            self._database.run(_SHARE.format(which="usable"))
        return self.matched

    def unmatch(self) -> None:
        """No row of the run has an answer."""
        self._database.run("DELETE FROM of_row")
        self._database.run("DELETE FROM repeat")
        self.forget_candidates()

    @property
    def matched(self) -> int:
        """Rows of the run that have an answer."""
        return int(self._database.one("SELECT count(*) FROM of_row"))

    def unmatched(self) -> Iterator[Unmatched]:
        """The rows that need a request, in order: without an answer after `match`, and none that repeats another."""
        for row, again, is_known, key in self._database.run(_UNMATCHED):
            yield Unmatched(row, None if again is None else bool(again), bool(is_known), key)

    def match_failures(self) -> None:
        """Give rows that have none the newest failure of the same key, after `match`."""
        self._database.run(_SHARE.format(which="retryable"))

    def forget_candidates(self) -> None:
        """They take as much room as all answers have keys; rows keep what they were given."""
        self._database.run("DELETE FROM candidate")

    def wants(self, key: str) -> bool:
        """Whether a row without an answer has this key."""
        self._database.run("CREATE INDEX IF NOT EXISTS sample_key ON sample (key)")
        return bool(self._database.one(_WANTED, key))

    def _lay_out(self, own: Collection[str], others: bool, retry_kinds: Collection[Kind]) -> None:
        """Fill `candidate` with the answers that may be given, and those that say why a row gets none."""
        self._kept.settle_turns()
        owned = f"attempt.name IN ({marks(own)})"
        kinds = f"kind IN ({marks(retry_kinds)})"
        without_image = "image_note != ''" if Kind.IMAGE in retry_kinds else "false"
        self._database.run(
            f"INSERT INTO candidate SELECT place, key, id, {TURN} - (({owned}) << 60), "
            f"NOT retryable AND ({owned} OR NOT ({kinds} OR {without_image})), retryable "
            f"FROM answer JOIN attempt ON attempt = number WHERE {'true' if others else owned}",
            *(*own, *own, *retry_kinds, *(() if others else own)),
        )
