"""Shares a run's budget out among its processes, as they ask for it by records on storage. Spends nothing itself.

What all of them may spend is never more than there is: of each counts the most that it may rely on, the last grant
until it says that it has heard of it, then what it promises. One that is killed keeps what it was granted.
"""

from contextlib import suppress
from dataclasses import dataclass, field

from tasks.core.checkpoint.contents import parsed
from tasks.core.checkpoint.layout import COSTS, Damaged, Storage, grant_key
from tasks.core.clock import Clock
from tasks.core.costs.purse_records import Grant, PurseName, PurseRecord


@dataclass(slots=True)
class _Process:
    seen: int = -1  # number of its newest record
    heard_of_at: float = 0.0
    record: PurseRecord = field(default_factory=lambda: PurseRecord(at_most=0.0))
    grants: int = 0
    granted: float = 0.0

    @property
    def up_to_date(self) -> bool:
        return self.record.heard == self.grants

    @property
    def most(self) -> float:
        return self.record.at_most if self.up_to_date else max(self.record.at_most, self.granted)

    @property
    def waits(self) -> bool:
        return bool(self.record.wants) and self.up_to_date


class Treasurer:
    """`cap`: dollars for this attempt. `silent_seconds`: after which a process that said nothing is taken for gone."""

    def __init__(
        self, storage: Storage, job: str, attempt: str, cap: float, silent_seconds: float, clock: Clock
    ) -> None:
        self._storage, self._job, self._attempt, self._cap = storage, job, attempt, cap
        self._silent_seconds, self._clock = silent_seconds, clock
        self._processes: dict[str, _Process] = {}

    def look(self) -> None:
        """Read what is new, and grant what can be granted.

        Raises:
            OSError: the storage cannot be read or written; the next look may.
        """
        self._read()
        waiting = [(name, process) for name, process in self._processes.items() if process.waits]
        granted = [self._grant(name, process, len(waiting)) for name, process in waiting]
        if waiting and not any(granted) and all(map(self._is_quiet, self._processes.values())):
            for name, process in waiting:
                self._write(name, process, Grant(at_most=process.record.at_most, over=True))

    @property
    def all_quiet(self) -> bool:
        """Whether nobody has a request in flight, as far as is known."""
        return all(map(self._is_quiet, self._processes.values()))

    def _read(self) -> None:
        for key in self._storage.keys(f"{self._job}/{COSTS}"):
            name = PurseName.of(key)
            if name is None or name.is_grant or name.attempt != self._attempt:
                continue
            process = self._processes.setdefault(name.writer, _Process())
            if name.number <= process.seen:
                continue
            with suppress(Damaged):
                if (value := self._storage.read(key)) is not None:
                    process.record, process.seen = parsed(PurseRecord, value), name.number
                    process.heard_of_at = self._clock()

    def _grant(self, name: str, process: _Process, waiting: int) -> bool:
        left = self._cap - sum(each.most for each in self._processes.values())
        most = process.most + left
        if process.record.wants > most:
            return False
        fair = min(process.record.likely, process.most + left / waiting)
        self._write(name, process, Grant(at_most=min(max(process.record.wants, fair), most)))
        return True

    def _write(self, name: str, process: _Process, grant: Grant) -> None:
        number = process.grants + 1
        self._storage.write(grant_key(self._job, self._attempt, name, number), grant.model_dump(mode="json"))
        process.grants, process.granted = number, grant.at_most

    def _is_quiet(self, process: _Process) -> bool:
        silent = self._clock() - process.heard_of_at > self._silent_seconds
        return silent or (not process.record.busy and process.up_to_date)
