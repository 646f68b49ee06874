"""Rows of the run that ask what another row of it asks: they wait for that one's answer. Sends nothing."""

from collections.abc import Iterable

from tasks.core.checkpoint.layout import StorageError
from tasks.core.checkpoint.table.database import Database
from tasks.core.records import Repeat

_FIND = """
INSERT INTO repeat SELECT row, leader, key
FROM (SELECT row, key, min(row) OVER (PARTITION BY key) AS leader
      FROM sample WHERE key != '' AND row NOT IN (SELECT row FROM of_row))
WHERE row != leader
"""
# Of a row that was prepared anew for each try, the last failure may have been before it had its key.
_SETTLE = """
INSERT OR IGNORE INTO of_row SELECT repeat.row, given.place, 1
FROM repeat JOIN of_row AS given ON given.row = repeat.leader JOIN answer ON answer.place = given.place
WHERE answer.key = repeat.key OR answer.retryable
"""


class Claims:
    """Which row was the first to ask for a key. In memory while they are few; one thread at a time."""

    def __init__(self, database: Database | None = None) -> None:
        self._run = (database or Database()).run

    def leader(self, key: str, row: int) -> int:
        """The row that asks for `key`, from now on this one where there is none."""
        try:
            if not key or self._run("INSERT OR IGNORE INTO claimed VALUES (?, ?)", key, row).rowcount:
                return row
            return int(self._run("SELECT row FROM claimed WHERE key = ?", key).fetchone()[0])
        except StorageError:  # no room: that costs a request, and no row
            return row


class Repeats:
    """`claims`: of the rows that the run's own process has looked at, where not all were looked at before it began."""

    def __init__(self, database: Database) -> None:
        self._database, self._count = database, 0
        self.claims = Claims(database)

    def find(self) -> int:
        """Among all rows of the run that have no answer; returns how many they are."""
        self._database.run("DELETE FROM repeat")
        self._count = self._database.run(_FIND).rowcount
        return self._count

    def wait(self, repeats: Iterable[Repeat]) -> None:
        """These rows need no request."""
        for repeat in repeats:
            self._database.run("INSERT OR REPLACE INTO sample VALUES (?, ?, ?)", repeat.row, repeat.key, repeat.id)
            self._database.run("INSERT OR REPLACE INTO repeat VALUES (?, ?, ?)", repeat.row, repeat.of, repeat.key)
            self._count += 1

    def settle(self) -> int:
        """Give them the answers of those they wait for, as far as there are any; returns how many have one now."""
        return self._database.run(_SETTLE).rowcount

    def __len__(self) -> int:
        return self._count
