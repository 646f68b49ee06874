"""What is on record of the groups of a job: rows that go out as one batch job, each made once at most.

    <job>/batch/<group>/rows               which rows, in the order of the lines
    <job>/batch/<group>/<number>-<phase>   what has become of it, one record a step; the last one counts

Each step is on record before what it announces is done. A group belongs to the job and to no attempt: whoever holds
the job goes on with it. Sends nothing, and judges nothing.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from tasks.core.batches import jobs_counted
from tasks.core.checkpoint.layout import BATCH, Damaged, Storage
from tasks.core.details import Count

_STEP = re.compile(r"(?P<group>[^/]+)/(?P<number>\d{4})-(?P<phase>[a-z]+)")


class Phase(StrEnum):
    """What is known of a group. From CREATING on a batch job may exist; from SUBMITTED on one does."""

    BUILT = "built"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    CREATING = "creating"
    REFUSED = "refused"
    """The create was refused: no job came of it."""
    SUBMITTED = "submitted"
    MISSING = "missing"
    """The API knows nothing of it at the moment."""
    COLLECTED = "collected"
    """Its answers are on record."""
    GONE = "gone"
    """Nothing comes of it."""

    @property
    def is_over(self) -> bool:
        return self in (Phase.COLLECTED, Phase.GONE)

    @property
    def in_flight(self) -> bool:
        """Whether its rows may be paid for."""
        return self in (Phase.CREATING, Phase.SUBMITTED, Phase.MISSING)


class PlannedRow(NamedTuple):
    """A row of a group. `key`: of the sample; `note`: what it goes without, and why; `most`: dollars that it may take,
    where there is a budget.
    """

    row: Count
    id: str
    key: str
    has_image: bool = False
    note: str = ""
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """A group as its last record has it; times in seconds since 1970.

    `attempt`: that its answers belong to. `display_name`: by which its job is found. `key_mark`: of the API key.
    `size`, `digest`: of its input, in bytes; `upload`: the address that it goes to; `file`: what it is there.
    `batch`: its job. `created`, `since`: when it was to be created, and when it came to its phase.
    `at_most`: dollars that it may take, where there is a budget; once it is over, that it may have taken.
    """

    name: str
    attempt: str
    rows: Count
    display_name: str
    phase: Phase = Phase.BUILT
    key_mark: str = ""
    size: Count = 0
    digest: str = ""
    upload: str = ""
    file: str = ""
    batch: str = ""
    created: float = 0.0
    since: float = 0.0
    state: str = ""
    why: str = ""
    steps: int = 0
    at_most: float = 0.0

    @property
    def taken(self) -> float:
        """Dollars that count as spent: none before a job was asked for."""
        return self.at_most if self.phase.in_flight or self.phase.is_over else 0.0


class _Planned(NamedTuple):
    """A group's rows, and the attempt that their answers belong to."""

    attempt: str
    rows: list[PlannedRow]


_GROUP = TypeAdapter(Group)
_PLANNED = TypeAdapter(_Planned)


class GroupRecords:
    """The groups of a job on `storage`. Call it under the job's lock; reading needs none."""

    def __init__(self, storage: Storage, job: str) -> None:
        self._storage, self._job = storage, job

    def plan(self, name: str, attempt: str, rows: Sequence[PlannedRow], now: float, **known: Any) -> Group:
        """A new group, its rows on record."""
        group = replace(_of_rows(Group(name, attempt, 0, display_name_of(self._job, name)), rows), since=now)
        self._storage.write(self._rows_key(name), _PLANNED.dump_python(_Planned(attempt, list(rows)), mode="json"))
        return self.note(group, Phase.BUILT, now, **known)

    def note(self, group: Group, phase: Phase, now: float, **known: Any) -> Group:
        """The group in its next phase, once that is on record; a group that is over keeps that one record.

        One that comes to nothing may have taken all that it might, once its job was asked for.
        """
        if phase is Phase.GONE and not group.phase.in_flight:
            known = known | {"at_most": 0.0}
        after = replace(group, phase=phase, since=now, steps=group.steps + 1, **known)
        self._storage.write(self._step_key(after), _GROUP.dump_python(after, mode="json"))
        if phase.is_over:
            last = self._step_key(after)
            self._storage.delete([key for key in self._storage.keys(f"{self._folder}/{group.name}") if key != last])
        return after

    def all(self) -> list[Group]:
        """As their last records have them, the oldest first.

        Raises:
            OSError: the storage cannot say.
        """
        return [self._read(name, number, phase) for name, (number, phase) in sorted(self._last().items())]

    def under_way(self) -> list[Group]:
        """Those that are not over."""
        last = sorted(self._last().items())
        return [self._read(name, number, phase) for name, (number, phase) in last if not phase.is_over]

    def in_flight(self) -> list[Group]:
        """Those whose rows may be paid for, and are not collected."""
        return [group for group in self.under_way() if group.phase.in_flight]

    def rows(self, group: Group) -> list[PlannedRow]:
        """Which rows it is about.

        Raises:
            Damaged: their record cannot be read, or is gone.
        """
        return self._planned(group.name).rows

    def keys_of(self, groups: Iterable[Group]) -> Counter[str]:
        """How many rows of each sample key are in these groups.

        Of one whose rows cannot be read nothing can be collected: it keeps no row from being sent.
        """
        keys = Counter[str]()
        for group in groups:
            with suppress(Damaged):
                keys.update(row.key for row in self.rows(group))
        return keys

    def _planned(self, name: str) -> _Planned:
        try:
            return _PLANNED.validate_python(self._storage.read(self._rows_key(name)))
        except ValidationError as error:
            raise Damaged(f"{self._rows_key(name)}: {error}") from None

    def _last(self) -> dict[str, tuple[int, Phase]]:
        """By group, number and phase of the last step, as the keys alone tell them."""
        last: dict[str, tuple[int, Phase]] = {}
        for group, number, phase in self._steps():
            last[group] = max(last.get(group, (0, phase)), (number, phase), key=lambda step: step[0])
        return last

    def _steps(self) -> Iterator[tuple[str, int, Phase]]:
        for key in self._storage.keys(self._folder):
            found = _STEP.fullmatch(key.removeprefix(f"{self._folder}/"))
            if found and found["phase"] in Phase:
                yield found["group"], int(found["number"]), Phase(found["phase"])

    def _read(self, name: str, number: int, phase: Phase) -> Group:
        """A record that cannot be read leaves what its key says: enough to find the job by its name."""
        known = Group(name, "", 0, display_name_of(self._job, name), phase, steps=number)
        try:
            return _GROUP.validate_python(self._storage.read(self._step_key(known)))
        except (Damaged, ValidationError):
            known = replace(known, phase=Phase.CREATING if phase.in_flight else phase)
        with suppress(Damaged):
            attempt, rows = self._planned(name)
            return _of_rows(replace(known, attempt=attempt), rows)
        return known

    @property
    def _folder(self) -> str:
        return f"{self._job}/{BATCH}"

    def _rows_key(self, name: str) -> str:
        return f"{self._folder}/{name}/rows"

    def _step_key(self, group: Group) -> str:
        return f"{self._folder}/{group.name}/{group.steps:04d}-{group.phase}"


def _of_rows(group: Group, rows: Sequence[PlannedRow]) -> Group:
    return replace(group, rows=len(rows), at_most=sum(row.most for row in rows))


def groups_counted(groups: Sequence[Group]) -> str:
    """`2 batch jobs with 400 rows`"""
    return jobs_counted(len(groups), sum(group.rows for group in groups))


def display_name_of(job: str, group: str) -> str:
    """What the API calls its job: the same wherever it is asked, of no other group."""
    digest = hashlib.blake2b(job.encode(), digest_size=6).hexdigest()
    return f"gi-{digest}-{group}"
