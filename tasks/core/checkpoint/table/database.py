"""A private temporary database, and what it is made of. Must not ask it anything of its own accord."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tasks.core.checkpoint.layout import StorageError
from tasks.core.checkpoint.table.columns import STORED

CACHE_MB = 64  # of it in memory
AT_ONCE = 500  # rows written with one statement
_SCHEMA = f"""
PRAGMA cache_size = -{CACHE_MB * 1000};
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE attempt (number INTEGER PRIMARY KEY, name TEXT UNIQUE, created TEXT, settings TEXT, turn INTEGER,
                      under_way INTEGER DEFAULT 0);
CREATE TABLE answer (place INTEGER PRIMARY KEY, attempt INTEGER, packed INTEGER, retryable INTEGER,
                     {", ".join(STORED)}, UNIQUE (attempt, row));
CREATE TABLE response (place INTEGER PRIMARY KEY, response TEXT, details TEXT);  -- apart: few questions are about them
CREATE TABLE sample (row INTEGER PRIMARY KEY, key TEXT, id TEXT);
CREATE TABLE of_row (row INTEGER PRIMARY KEY, place INTEGER, shared INTEGER DEFAULT 0);  -- the answer to a row
CREATE TABLE repeat (row INTEGER PRIMARY KEY, leader INTEGER, key TEXT);  -- rows that wait for another's answer
CREATE TABLE claimed (key TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID;  -- by the first row that asks so
CREATE TABLE candidate (place INTEGER PRIMARY KEY, key TEXT, id TEXT, turn INTEGER, usable INTEGER, retryable INTEGER);
CREATE TABLE superfluous (place INTEGER PRIMARY KEY);
"""


class Database:
    """Every statement that cannot be run, for want of room, is a StorageError with a way out."""

    def __init__(self) -> None:
        with _as_storage_error():
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._connection.executescript(_SCHEMA)
            self._connection.execute("BEGIN")  # one transaction for life: nobody else is there to see it

    def run(self, query: str, *values: Any) -> sqlite3.Cursor:
        with _as_storage_error():
            return self._connection.execute(query, values)

    def run_each(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        with _as_storage_error():
            self._connection.executemany(query, rows)

    def one(self, query: str, *values: Any) -> Any:
        """The first value that the query finds."""
        return self.run(query, *values).fetchone()[0]


def marks(values: Collection[Any]) -> str:
    """A place in a query for each of `values`."""
    return ", ".join("?" * len(values))


@contextmanager
def _as_storage_error() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        way_out = "SQLITE_TMPDIR names a folder with more room"
        raise StorageError(f"the temporary file of this run's answers cannot be used: {error}; {way_out}") from error
