"""A purse is on record before it is spent from, in few records; of a process that was killed its last one counts."""

from pathlib import Path
from typing import Any

import pytest

from tasks.core.checkpoint.layout import ended_key
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.costs.budget import BudgetSpent
from tasks.core.costs.purse import PATIENCE_SECONDS, OwnPurse
from tasks.core.costs.purse_records import PurseRecords
from tasks.core.costs.spending import MOST_RECORDS, Spending, add_to_ledger, read_ledger

JOB = "gemini-infer/v1/job"


def nothing() -> None: ...


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def purse(storage: Any, cap: float = 10.0, attempt: str = "a-1") -> tuple[OwnPurse, Time]:
    time = Time()
    return OwnPurse(PurseRecords(storage, JOB, attempt), cap, clock=time, sleep=time.sleep), time


async def test_what_may_be_spent_is_on_record_first(tmp_path: Path) -> None:
    """Never more than there is; a kill leaves the last record, an end what was spent."""
    storage = LocalStorage(tmp_path)
    mine, _ = purse(storage)
    assert await mine.allow(1.0, 2.0, nothing)
    assert mine.allowed >= 2.0
    assert read_ledger(storage, JOB).killed == {"a-1": mine.allowed}
    assert await mine.allow(9.9, 12.0, nothing)
    assert mine.allowed == 10.0
    mine.changed(1.0, 1.0, 1)
    assert not await mine.allow(10.1, 11.0, nothing)
    mine.changed(2.0, 0.0, 0)
    with pytest.raises(BudgetSpent):
        await mine.allow(10.1, 11.0, nothing)
    assert read_ledger(storage, JOB).killed == {"a-1": 10.0}
    mine.changed(3.0, 0.0, 0)
    await mine.close()
    assert read_ledger(storage, JOB).killed == {"a-1": 3.0}


async def test_records_are_few_however_small_the_steps(tmp_path: Path) -> None:
    """What is allowed ahead doubles while records come more often than once a second."""
    storage = LocalStorage(tmp_path)
    mine, time = purse(storage, cap=1e9)
    numbers = 0
    for step in range(1, 10_001):
        time.now += 0.01
        if step > mine.allowed:
            assert await mine.allow(step, step + 1, nothing)
            numbers += 1
    assert numbers < 100
    assert len(storage.keys(JOB)) == 2


async def test_a_storage_that_fails_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever; and not once the run was stopped."""
    storage = LocalStorage(tmp_path)
    mine, time = purse(storage)

    def fail(*_: object) -> None:
        if time.now < 5.0:
            raise OSError("full")
        LocalStorage.write(storage, *_)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "write", fail)
    assert await mine.allow(1.0, 1.0, nothing)
    monkeypatch.setattr(storage, "write", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        await mine.allow(2.0, 2.0, nothing)
    assert time.now >= 5.0 + PATIENCE_SECONDS

    def stopped() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        await mine.allow(2.0, 2.0, stopped)


def spending(attempt: str, dollars: float | None = 1.0) -> Spending:
    return Spending(attempts=[attempt], dollars=dollars, prompt_tokens=10)


def test_of_many_runs_there_are_few_records(tmp_path: Path) -> None:
    """Put together as they end; nothing is counted twice where the removal was cut off."""
    storage = LocalStorage(tmp_path)
    for number in range(3 * MOST_RECORDS):
        add_to_ledger(storage, read_ledger(storage, JOB), [spending(f"a-{number}", 1.0 if number % 3 else None)])
    assert len(storage.keys(JOB)) <= MOST_RECORDS
    storage.write(ended_key(JOB, "left"), spending("a-1").model_dump(mode="json"))  # as if it had not been removed
    ledger = read_ledger(storage, JOB)
    assert len(ledger.attempts) == 3 * MOST_RECORDS
    assert sum(each.dollars or 0.0 for each in ledger.ended) == 2 * MOST_RECORDS
    assert sum(each.prompt_tokens for each in ledger.ended) == 10 * 3 * MOST_RECORDS


async def test_the_end_of_a_run_takes_the_place_of_its_purses(tmp_path: Path) -> None:
    """Of several processes each counts."""
    storage = LocalStorage(tmp_path)
    for process in range(2):
        await purse(storage)[0].allow(1.0 + process, 1.0 + process, nothing)
    other, _ = purse(storage, attempt="b-1")
    await other.allow(5.0, 5.0, nothing)
    killed = read_ledger(storage, JOB).killed
    assert killed["a-1"] >= 3.0
    add_to_ledger(storage, read_ledger(storage, JOB), [spending("a-1", 2.5)])
    ledger = read_ledger(storage, JOB)
    assert ([each.dollars for each in ledger.ended], ledger.killed) == ([2.5], {"b-1": killed["b-1"]})
    assert len(storage.keys(JOB)) == 2


async def test_a_record_that_was_cut_short_costs_nothing(tmp_path: Path) -> None:
    """Nobody relied on it: the one before counts."""
    storage = LocalStorage(tmp_path)
    mine, _ = purse(storage)
    await mine.allow(1.0, 1.0, nothing)
    allowed = mine.allowed
    await mine.allow(5.0, 5.0, nothing)
    (storage.folder / storage.keys(JOB)[-1]).write_text('{"at_mo')
    assert read_ledger(storage, JOB).killed == {"a-1": allowed}
