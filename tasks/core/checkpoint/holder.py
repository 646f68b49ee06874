"""Who holds a job, as the lock's record says it, and whether that process is still there."""

import os
import platform
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from pydantic import BaseModel

from tasks.core.checkpoint.contents import parsed
from tasks.core.checkpoint.layout import Damaged, Storage

BEAT_SECONDS = 10.0
SURELY_GONE = timedelta(hours=6)  # without a beat; clocks differ, and a storage may have been away


class Holder(BaseModel):
    """Who holds a job. `owner` is of this one claim; `beats` counts its signs of life."""

    owner: str
    machine: str
    host: str
    pid: int
    started: str = ""
    run: str
    since: datetime
    beats: int = 0

    @classmethod
    def here(cls, run: str) -> Self:
        pid = os.getpid()
        return cls(
            owner=uuid.uuid4().hex,
            machine=_machine(),
            host=platform.node(),
            pid=pid,
            started=_start_of(pid) or "",
            run=run,
            since=datetime.now(UTC),
        )

    def __str__(self) -> str:
        since = f"{self.since.astimezone():%Y-%m-%d %H:%M:%S}"
        return f"flow run {self.run}, process {self.pid} on {self.host}, since {since}"

    @property
    def gone(self) -> bool:
        """Whether it is sure, without watching, that nobody is at work any more."""
        if self.runs_here is not None:
            return not self.runs_here
        last_beat = self.since + timedelta(seconds=self.beats * BEAT_SECONDS)
        return datetime.now(UTC) - last_beat > SURELY_GONE

    @property
    def runs_here(self) -> bool | None:
        """Whether the claim is alive on this machine; None where that cannot be known: elsewhere, or shared."""
        if self.machine != _machine():
            return None
        if self.pid == os.getpid():
            return any(thread.name == thread_name(self.owner) for thread in threading.enumerate())
        started = _start_of(self.pid)
        if started is None:
            return False
        return started == self.started if started and self.started else None


def holder_of(storage: Storage, key: str) -> Holder | None:
    """Who holds the job whose lock is at `key`; a record that cannot be read is nobody's."""
    try:
        value = storage.read(key)
        return None if value is None else parsed(Holder, value)
    except Damaged:
        return None


def thread_name(owner: str) -> str:
    return f"job-lock {owner}"


def _machine() -> str:
    """The same for two processes that can see each other, and for no others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        return f"{platform.node()} {uuid.getnode():x}"


def _start_of(pid: int) -> str | None:
    """When the process began, as the system says it (empty where it does not); None where it is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # there, and somebody else's
        pass
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return None if state in "ZX" else rest[18]
