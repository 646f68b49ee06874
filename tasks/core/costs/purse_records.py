"""What the processes of an attempt may spend, on record; and what they ask of the one that shares it out.

Records are numbered and never written over; the one before the last is kept until the next, so that one that was cut
short costs nothing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple
from uuid import uuid4

from pydantic import BaseModel

from tasks.core.checkpoint.contents import parsed
from tasks.core.checkpoint.layout import Damaged, Storage, grant_key, purse_key

_NAME = re.compile(r"(?P<attempt>.+)(?P<kind>[.~])(?P<writer>\w+)-(?P<number>\d+)")

type InThread = Callable[..., Awaitable[object]]


class PurseRecord(BaseModel):
    """A process promises to spend no more than `at_most` dollars in all, until it is granted more.

    `wants`: dollars in all that its next request needs, 0 for none; `likely`: that would serve many. `busy`: requests
    in flight. `heard`: how many grants it has taken up.
    """

    at_most: float
    wants: float = 0.0
    likely: float = 0.0
    busy: int = 0
    heard: int = 0


class Grant(BaseModel):
    """Leave to spend `at_most` dollars in all. `over`: nobody gets more."""

    at_most: float
    over: bool = False


class PurseName(NamedTuple):
    """What the key of a record says. `is_grant`: it is to the process `writer`, not by it."""

    attempt: str
    writer: str
    number: int
    is_grant: bool

    @classmethod
    def of(cls, key: str) -> "PurseName | None":
        """None of a record that is of no purse."""
        found = _NAME.fullmatch(key.rpartition("/")[2])
        return cls(found["attempt"], found["writer"], int(found["number"]), found["kind"] == "~") if found else None


class PurseRecords:
    """Those of one process."""

    def __init__(self, storage: Storage, job: str, attempt: str, in_thread: InThread = asyncio.to_thread) -> None:
        self._storage, self._job, self._attempt, self._in_thread = storage, job, attempt, in_thread
        self._writer, self._number = uuid4().hex[:12], 0
        self._one_at_a_time = asyncio.Lock()

    async def write(self, record: Callable[[], PurseRecord | None]) -> None:
        """Write what `record` gives once it is its turn, if that is anything.

        Raises:
            OSError: it cannot be written.
        """
        async with self._one_at_a_time:
            if found := record():
                await self._in_thread(self._put, self._number, found)
                self._number += 1

    async def grant(self, number: int) -> Grant | None:
        """The grant with that number, if it is there and can be read."""
        found: list[Grant] = []
        await self._in_thread(self._read_grant, number, found)
        return found[0] if found else None

    def _put(self, number: int, record: PurseRecord) -> None:
        new, old = (purse_key(self._job, self._attempt, self._writer, n) for n in (number, number - 2))
        self._storage.write(new, record.model_dump(mode="json", exclude_defaults=True))
        if number > 1:
            with suppress(OSError):
                self._storage.delete([old])

    def _read_grant(self, number: int, found: list[Grant]) -> None:
        with suppress(OSError, Damaged):
            value = self._storage.read(grant_key(self._job, self._attempt, self._writer, number))
            found.extend([] if value is None else [parsed(Grant, value)])
