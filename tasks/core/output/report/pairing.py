"""Finds to each row of one side that of the other which asks the same. Keeps one side on disk, not in memory."""

import hashlib
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from tasks.core.output.report.sides import Side, SideRow

_LOOKED_AT = 1000  # rows, to see what both have in common


class By(StrEnum):
    """What rows are known by: the first that finds any."""

    ID_AND_PROMPT = "id and prompt"
    PROMPT = "prompt"
    ID = "id"


class Pair(NamedTuple):
    left: SideRow | None
    right: SideRow | None


class Pairing:
    """The rows of two sides, in the order of the left one; then those of the right one that are left."""

    def __init__(self, left: Side, right: Side) -> None:
        self._left = left
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE other (place INTEGER PRIMARY KEY, both, prompt, id, row)")
        rows = ((*_keys(row), pickle.dumps(row)) for row in right.rows())
        self._database.executemany("INSERT INTO other (both, prompt, id, row) VALUES (?, ?, ?, ?)", rows)
        for column in _COLUMNS.values():
            self._database.execute(f"CREATE INDEX by_{column} ON other ({column})")
        self.by = self._in_common()

    def pairs(self) -> Iterator[Pair]:
        """Once; the right side's rows are gone with that."""
        with closing(self._database):
            for row in self._left.rows():
                yield Pair(row, self._take(row))
            for (kept,) in self._database.execute("SELECT row FROM other ORDER BY place"):
                yield Pair(None, pickle.loads(kept))

    def _in_common(self) -> By:
        for by in By:
            query = f"SELECT 1 FROM other WHERE {_COLUMNS[by]} = ?"
            some = islice(self._left.rows(), _LOOKED_AT)
            if any(self._database.execute(query, (_key(row, by),)).fetchone() for row in some):
                return by
        return By.ID_AND_PROMPT

    def _take(self, row: SideRow) -> SideRow | None:
        query = f"SELECT place, row FROM other WHERE {_COLUMNS[self.by]} = ? ORDER BY place LIMIT 1"
        found = self._database.execute(query, (_key(row, self.by),)).fetchone()
        if found is None:
            return None
        self._database.execute("DELETE FROM other WHERE place = ?", found[:1])
        taken: SideRow = pickle.loads(found[1])
        return taken


_COLUMNS = {By.ID_AND_PROMPT: "both", By.PROMPT: "prompt", By.ID: "id"}
_OF: dict[By, Callable[[SideRow], str]] = {
    By.ID_AND_PROMPT: lambda row: f"{row.row.id}\0{row.row.input_query}",
    By.PROMPT: lambda row: row.row.input_query,
    By.ID: lambda row: row.row.id,
}


def _key(row: SideRow, by: By) -> bytes:
    return hashlib.blake2b(_OF[by](row).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _keys(row: SideRow) -> list[bytes]:
    return [_key(row, by) for by in By]
