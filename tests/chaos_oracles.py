"""What must be true of every run, whatever was done to it. Each check says what is wrong, or nothing."""

import csv
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos_ledger import Account, Event, Paid, line_of
from tests.chaos_processes import Process
from tests.chaos_scenario import Row, What

COLUMNS = ("id", "input_query", "has_image", "response", "status")
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Fault:
    """What must not be. `kind` is its word in the table."""

    kind: str
    what: str


@dataclass(slots=True)
class Run:
    """One process of a play, when it is over. `locked_out`: it met the lock of a run that is gone, and tries again."""

    act: int
    name: str
    account: Account
    process: Process
    code: int = 0
    seconds: float = 0.0
    locked_out: bool = False
    paid: Paid = field(default_factory=Paid)

    @property
    def ended(self) -> float:
        return self.account.started + self.seconds

    def __str__(self) -> str:
        lines = [f"  act {self.act} {self.name}: {self.seconds:.2f} s, exit code {self.code}, {self.paid}"]
        return "\n".join(lines + [f"    {self._event(event)}" for event in self.account.events])

    def _event(self, event: Event) -> str:
        after = event.at - self.account.started
        return f"{after:6.2f} s  {event.what} ({event.answers} answered, {event.in_flight} in flight)"


def check_run(run: Run) -> Iterator[Fault]:
    """Its exit code, its words, and what it paid for."""
    text = run.process.text()
    codes = _fitting_codes(run.account)
    if run.code not in codes and run.name != "rival" and not run.locked_out:
        yield Fault("exit", f"exit code {run.code} is none of {', '.join(map(str, sorted(codes)))}")
    if "Traceback" in text:
        yield Fault("traceback", "a traceback in the output")
    if run.code == INTERRUPTED and "--resume" not in text and not run.account.left_at_once:
        yield Fault("words", "interrupted, and not a word of --resume")
    if run.paid.unexplained:
        yield Fault("paid twice", f"{run.paid.unexplained.total()} answers, which nothing explains")


def _fitting_codes(account: Account) -> set[int]:
    """What the end of a run may be, given what was done to it."""
    done = {event.what for event in account.events}
    codes = {0}
    if done & {What.INTERRUPT, What.TERMINATE}:
        codes.add(INTERRUPTED)
    if What.KILL in done:
        codes.add(-signal.SIGKILL)
    if What.STORAGE_AWAY in done and not account.answers:
        codes |= {1, 2}  # where nothing can be kept, nothing may be sent
    if What.STORAGE_AWAY in done and account.storage_stays_away:
        codes.add(1)
    return codes


def check_rival(holder: Run, rival: Run) -> Iterator[Fault]:
    """While a run holds its job, a second one ends with exit code 2, names the holder and pays nothing."""
    if rival.code not in (0, 2):
        yield Fault("exit", f"exit code {rival.code} is none of 0, 2")
    if holder.account.kill or holder.ended < rival.ended:
        return  # the holder was gone first: what the second one did is judged by what it paid for
    if rival.code != 2:
        yield Fault("two runs", f"exit code {rival.code} while process {holder.process.pid} held the job")
    elif str(holder.process.pid) not in rival.process.text():
        yield Fault("two runs", f"does not name process {holder.process.pid}, which holds the job")
    if rival.account.answers:
        yield Fault("two runs", f"paid for {rival.account.answers} answers")


def wrong_rows(path: Path, rows: Sequence[Row]) -> int:
    """Lines that are missing, too many, out of order, or with the answer of another row."""
    found = read(path) if path.exists() else []
    right = sum(_is_line_of(line, row) for line, row in zip(found, rows, strict=False))
    return max(len(found), len(rows)) - right


def _is_line_of(line: dict[str, str], row: Row) -> bool:
    expected = line_of(row)
    goes_without_image = row.image is not None and expected[2] == "False"
    return tuple(line[column] for column in COLUMNS) == expected and bool(line["error_message"]) == goes_without_image


def answers_in(paths: Iterable[Path]) -> set[tuple[str, str]]:
    """What was asked and answered, of all these CSVs."""
    lines = (line for path in paths for line in read(path))
    return {(line["input_query"], line["response"]) for line in lines if line["status"] == "success"}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
