"""What the runs of a job have cost, as the checkpoint has it. Prices nothing.

Of an attempt that ended there is a record with all that it took. Of one that was killed there are those of its purses,
which say what its processes may have spent at most; or where it had no budget, nothing but its answers. What its batch
jobs may have taken stands in the records of their groups, and it has not ended before they have.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from pydantic import BaseModel

from tasks.core.checkpoint.contents import parsed
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.layout import COSTS, Damaged, Storage, ended_key
from tasks.core.costs.purse_records import PurseName, PurseRecord

MOST_RECORDS = 64  # of attempts, before they are put together


class Spending(BaseModel):
    """What attempts took. `dollars`: None where no price was known. `unsure`: dollars beside, of what may be billed."""

    attempts: list[str]
    dollars: float | None = None
    unsure: float = 0.0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cached_tokens: int = 0


@dataclass(slots=True)
class Ledger:
    """Of a job. `killed`: what attempts without a record may have spent at most, as far as they had a budget."""

    job: str
    ended: list[Spending] = field(default_factory=list)
    killed: dict[str, float] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)  # of all that was read

    @property
    def attempts(self) -> set[str]:
        """Those it knows of."""
        return {attempt for spending in self.ended for attempt in spending.attempts} | self.killed.keys()


def total(spendings: Sequence[Spending]) -> Spending:
    """All of them as one; without dollars where one has none."""
    dollars = [spending.dollars for spending in spendings if spending.dollars is not None]
    return Spending(
        attempts=[attempt for spending in spendings for attempt in spending.attempts],
        dollars=sum(dollars) if len(dollars) == len(spendings) else None,
        unsure=sum(spending.unsure for spending in spendings),
        prompt_tokens=sum(spending.prompt_tokens for spending in spendings),
        answer_tokens=sum(spending.answer_tokens for spending in spendings),
        cached_tokens=sum(spending.cached_tokens for spending in spendings),
    )


def read_ledger(storage: Storage, job: str) -> Ledger:
    """What is on record.

    Raises:
        OSError: the storage cannot say.
    """
    ledger = Ledger(job, keys=storage.keys(f"{job}/{COSTS}"))
    found: list[Spending] = []
    purses: dict[tuple[str, str], tuple[int, float]] = {}
    for key in ledger.keys:
        try:
            name = PurseName.of(key)
            if (name and name.is_grant) or (value := storage.read(key)) is None:
                continue
            if name:
                purse, said = (name.attempt, name.writer), parsed(PurseRecord, value).at_most
                purses[purse] = max(purses.get(purse, (-1, 0.0)), (name.number, said))
            else:
                found.append(parsed(Spending, value))
        except Damaged:  # cut short as it was written: nobody has relied on it
            continue
    ledger.ended = _each_once(found)
    known = ledger.attempts
    of_groups = [(group.attempt, group.taken) for group in GroupRecords(storage, job).all() if group.taken]
    for attempt, at_most in [*((attempt, at_most) for (attempt, _), (_, at_most) in purses.items()), *of_groups]:
        if attempt not in known:
            ledger.killed[attempt] = ledger.killed.get(attempt, 0.0) + at_most
    return ledger


def add_to_ledger(storage: Storage, ledger: Ledger, new: Iterable[Spending]) -> None:
    """Put attempts on record that have ended, and what is there already together where it is much.

    Nothing is removed before what replaces it is there. Call it under the job's lock.
    """
    new = list(new)
    together = len(ledger.ended) + len(new) > MOST_RECORDS
    writer = uuid4().hex[:12]
    for number, spending in enumerate(_together([*ledger.ended, *new]) if together else new):
        storage.write(
            ended_key(ledger.job, f"{writer}-{number}"), spending.model_dump(mode="json", exclude_defaults=True)
        )
    ended = ledger.attempts - ledger.killed.keys() | {attempt for spending in new for attempt in spending.attempts}
    purses = {key: name.attempt for key in ledger.keys if (name := PurseName.of(key))}
    storage.delete([key for key in ledger.keys if (purses[key] in ended if key in purses else together)])


def _together(ended: Sequence[Spending]) -> Iterator[Spending]:
    """Those with dollars, and those without: a price may be known later."""
    for priced in (True, False):
        if alike := [spending for spending in ended if (spending.dollars is not None) is priced]:
            yield total(alike)


def _each_once(found: Iterable[Spending]) -> list[Spending]:
    """Without those that were put together already."""
    kept: list[Spending] = []
    known: set[str] = set()
    for spending in sorted(found, key=lambda spending: -len(spending.attempts)):
        if not known.intersection(spending.attempts):
            kept.append(spending)
            known.update(spending.attempts)
    return kept
