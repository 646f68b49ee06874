"""One writer a job: who gets it, who is told, and when a dead one has lost it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.core.checkpoint import holder as holders
from tasks.core.checkpoint import lock as locks
from tasks.core.checkpoint.holder import BEAT_SECONDS, Holder, holder_of
from tasks.core.checkpoint.layout import ROOT, lock_key
from tasks.core.checkpoint.lock import DEAD_SECONDS, JobHeld, JobLock
from tests.memory import TORN, Memory, Unreachable

JOB = f"{ROOT}/data-test-m-0123456789ab"
KEY = lock_key(JOB)


class Time:
    """A clock that runs only while somebody sleeps; `meanwhile(now)` is what others do."""

    def __init__(self, meanwhile: Callable[[float], object] = lambda now: None) -> None:
        self.now, self._meanwhile = 0.0, meanwhile

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile(self.now)


def lock(storage: Memory, run: str = "run", time: Time | None = None, **told: Any) -> JobLock:
    time = time or Time()
    return JobLock(storage, JOB, run, clock=time.clock, sleep=time.sleep, **told)


def elsewhere(run: str = "theirs", **fields: Any) -> dict[str, Any]:
    """The lock of a run on another machine."""
    return Holder.here(run).model_dump(mode="json") | {"machine": "another", "host": "far-away"} | fields


def test_the_second_run_of_a_job_is_told_who_holds_it_and_the_next_one_gets_it() -> None:
    """Host, process, flow run, since when."""
    storage = Memory()
    with lock(storage, "first") as held:
        held.confirm()
        with pytest.raises(JobHeld) as refused, lock(storage, "second"):
            pass
        assert f"flow run first, process {os.getpid()} on " in str(refused.value)
        assert f"since {datetime.now():%Y-}" in str(refused.value)
    assert KEY not in storage
    with lock(storage, "third") as held:
        held.confirm()


def test_a_process_that_is_gone_from_this_machine_has_lost_it_at_once() -> None:
    """Killed, and not yet collected by its parent as well; a number that was given out again is no life."""
    gone = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    for pid, started in ((gone.pid, ""), (os.getpid(), "1")):
        storage = Memory()
        storage[KEY] = Holder.here("dead").model_copy(update={"pid": pid, "started": started}).model_dump(mode="json")
        time = Time()
        with lock(storage, time=time) as held:
            held.confirm()
        assert time.now == 0.0
    gone.wait()


def test_on_another_machine_a_sign_of_life_decides_and_no_clock() -> None:
    """Whatever its record says of the time: a beat refuses, none for long enough takes over, within 90 s."""
    storage, waited = Memory(), list[Holder]()
    storage[KEY] = elsewhere(since=(datetime.now(UTC) + timedelta(days=9)).isoformat())
    time = Time()
    with lock(storage, time=time, waiting=waited.append) as held:
        held.confirm()
    assert DEAD_SECONDS <= time.now < 90
    assert [holder.run for holder in waited] == ["theirs"]

    storage[KEY] = elsewhere(since=(datetime.now(UTC) - timedelta(days=9)).isoformat())

    def beat(now: float) -> None:
        if now >= BEAT_SECONDS:
            storage[KEY] = storage[KEY] | {"beats": 1}

    time = Time(beat)
    with pytest.raises(JobHeld), lock(storage, time=time):
        pass
    assert time.now < 2 * BEAT_SECONDS


def test_of_two_that_claim_at_once_the_last_to_write_has_the_job() -> None:
    """The other one learns it before it sends."""
    storage = Memory()
    with lock(storage, "first") as first:
        storage[KEY] = elsewhere("second")
        with pytest.raises(JobHeld, match="second"):
            first.confirm()
    assert Holder.model_validate(storage[KEY]).run == "second"


def test_a_claim_that_was_written_late_is_withdrawn_and_made_again() -> None:
    """Between its look and its write somebody may have claimed the job and made sure."""
    time = Time()

    class Slow(Memory):
        settle_seconds = 1.0
        waits = 3.0

        def write(self, key: str, value: Any) -> None:
            time.now += self.waits
            self.waits = 0.0
            super().write(key, value)

    storage = Slow()
    with lock(storage, time=time) as held:
        assert time.now >= 3.0 + BEAT_SECONDS
        held.confirm()


def test_a_run_that_ended_in_this_process_holds_nothing_even_if_its_lock_could_not_be_removed() -> None:
    """A notebook goes on after the storage was away."""
    storage = Memory()
    with lock(storage, "first") as held:
        held._storage = Unreachable()
    assert KEY in storage
    with lock(storage, "second") as held:
        held.confirm()


def beats(storage: Memory) -> Callable[[float], None]:
    def beat(now: float) -> None:
        storage[KEY] = storage[KEY] | {"beats": int(now)}

    return beat


def test_where_a_process_cannot_be_known_its_beats_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No /proc, another user's process, or a run whose requests go out from other machines."""
    holder = Holder.here("run").model_copy(update={"pid": 1})
    monkeypatch.setattr(holders, "_start_of", lambda pid: "")
    assert holder.runs_here is None
    monkeypatch.undo()
    assert holder.model_copy(update={"started": ""}).runs_here is None
    storage = Memory()
    with lock(storage, "first", shared=True), pytest.raises(JobHeld), lock(storage, time=Time(beats(storage))):
        pass


def test_who_stood_still_and_was_taken_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop that was closed does not send beside its successor; while it holds the job it says so."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.01)
    storage, told, lost = Memory(), list[Holder](), threading.Event()

    def tell(holder: Holder) -> None:
        told.append(holder)
        lost.set()

    with lock(storage, "first", lost=tell):
        while (holder := holder_of(storage, KEY)) and holder.beats < 3:
            pass
        storage[KEY] = elsewhere("second")
        assert lost.wait(30)
    assert [holder.run for holder in told] == ["second"]
    assert Holder.model_validate(storage[KEY]).run == "second"


def test_a_storage_that_is_away_for_a_while_takes_no_job_from_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sending waits for it as well."""
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.01)
    storage, lost = Memory(), list[Holder]()
    with lock(storage, lost=lost.append) as held:
        held._storage = Unreachable()
        held._ended.wait(0.05)
        held._storage = storage
        held.confirm()
    assert lost == []


def test_a_lock_that_cannot_be_read_keeps_nobody_out() -> None:
    """Torn by a crash."""
    storage = Memory()
    storage[KEY] = TORN
    with lock(storage) as held:
        held.confirm()


def test_only_a_holder_that_is_surely_gone_counts_as_gone_without_watching() -> None:
    """For who removes checkpoints."""
    storage = Memory()
    with lock(storage):
        assert not Holder.model_validate(storage[KEY]).gone
    assert Holder.here("a run without a lock").gone
    assert not Holder.model_validate(elsewhere()).gone
    assert Holder.model_validate(elsewhere(since=(datetime.now(UTC) - timedelta(days=1)).isoformat())).gone
