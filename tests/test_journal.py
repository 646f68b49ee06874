"""Answers on storage as they arrive, whatever the storage does."""

import asyncio
import threading
from typing import Any

import pytest

from tasks.core.checkpoint import journal as journals
from tasks.core.checkpoint.journal import PATIENCE_SECONDS, Journal
from tasks.core.checkpoint.layout import ROOT
from tasks.core.checkpoint.pool import read_pool
from tasks.core.records import Kind, RowAnswer
from tests.memory import Memory

JOB = f"{ROOT}/data-test-m-0123456789ab"


class Failing(Memory):
    """Writes fail while `broken`."""

    broken = False
    tries = 0

    def write(self, key: str, value: Any) -> None:
        self.tries += 1
        if self.broken:
            raise OSError("no space left on device")
        assert key not in self, "a record was written over"
        super().write(key, value)


def result(row: int) -> RowAnswer:
    return RowAnswer(row=row, id=str(row), key=f"k{row}", kind=Kind.ANSWERED)


def rows(storage: Memory) -> list[int]:
    return sorted(result.row for result in read_pool(storage, JOB).results())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(journals, "MOST_RETRY_SECONDS", 0.001)


async def until(true: Any) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def test_an_answer_is_saved_without_anybody_asking_and_no_record_is_written_over() -> None:
    """One record for those that came together, a new one for the next."""
    storage = Failing()
    journal = Journal(storage, JOB, "run-1")
    for row in range(5):
        journal.add(result(row))
    await until(lambda: rows(storage) == [0, 1, 2, 3, 4])
    assert len(storage) == 1
    journal.add(result(5))
    await until(lambda: rows(storage) == [0, 1, 2, 3, 4, 5])
    assert len(storage) == 2
    assert await journal.close(30) == []


async def test_an_answer_waits_for_no_longer_than_the_storage_gathers() -> None:
    """Unless somebody is in a hurry."""
    storage = Failing()
    storage.gather_seconds = 3600.0
    journal = Journal(storage, JOB, "run-1")
    journal.add(result(0))
    await asyncio.sleep(0.02)
    assert rows(storage) == []
    assert await journal.saved()
    assert rows(storage) == [0]
    journal.add(result(1))
    journal.hurry()
    await until(lambda: rows(storage) == [0, 1])
    journal.add(result(2))
    await until(lambda: rows(storage) == [0, 1, 2])
    await journal.close(30)


async def test_a_save_that_fails_is_tried_again_and_nothing_is_sent_meanwhile() -> None:
    """Answers that come in between wait for the next record."""
    storage, told = Failing(), list[bool]()
    storage.broken = True
    journal = Journal(storage, JOB, "run-1", failing=told.append)
    journal.add(result(0))
    await until(lambda: storage.tries > 3)
    assert told == [True]
    journal.add(result(1))
    storage.broken = False
    assert await journal.saved()
    assert told == [True, False]
    assert rows(storage) == [0, 1]
    assert await journal.close(30) == []


async def test_saves_that_keep_failing_stop_the_run_once_and_lose_nothing() -> None:
    """`saved` waits no longer, and what is left is handed back; a storage that comes back still gets it."""
    storage, gave_up, now = Failing(), list[str](), 0.0
    storage.broken = True
    journal = Journal(storage, JOB, "run-1", give_up=gave_up.append, clock=lambda: now)
    journal.add(result(0))
    await until(lambda: storage.tries > 1)
    journal.add(result(1))
    assert gave_up == []
    now = PATIENCE_SECONDS
    assert not await journal.saved()
    await until(lambda: gave_up)
    assert set(gave_up) == {"no space left on device"}
    assert [left.row for left in await journal.close(0.01)] == [0, 1]


async def test_a_slow_storage_holds_nobody_up() -> None:
    """The loop of the requests runs on while a record is being written; then all that came go in one."""
    storage, writing, go_on = Failing(), threading.Event(), threading.Event()

    def write(key: str, value: Any) -> None:
        writing.set()
        go_on.wait(30)
        Failing.write(storage, key, value)

    storage.write = write  # type: ignore[method-assign]
    journal = Journal(storage, JOB, "run-1")
    journal.add(result(0))
    await asyncio.to_thread(writing.wait, 30)
    for row in range(1, 100):
        journal.add(result(row))
    go_on.set()
    assert await journal.saved()
    assert rows(storage) == list(range(100))
    assert len(storage) == 2
    await journal.close(30)


async def test_a_listener_that_fails_ends_no_saving() -> None:
    """Nor does whoever waits for it wait for ever."""

    def fail(now: bool) -> None:
        raise RuntimeError("out of order")

    storage = Failing()
    storage.broken = True
    journal = Journal(storage, JOB, "run-1", failing=fail)
    journal.add(result(0))
    await until(lambda: storage.tries > 1)
    storage.broken = False
    assert await journal.saved()
    assert rows(storage) == [0]
    await journal.close(30)
