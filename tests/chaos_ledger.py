"""Who was paid what: the answers of every run, what a run may have lost, and what was paid for twice.

Each run has an emulator of its own, so an answer is known by its run, its prompt and image, and its time.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from deployments.demo import DATASET
from deployments.emulator import Emulator, LogNormal, answer_to, digest_of
from deployments.emulator.ledger import Ledger
from deployments.emulator.replies import Usage
from tests.chaos_scenario import BROKEN_IMAGE, Row, What

IMAGE_FOLDER = Path(DATASET).parent / "images"
SAVED_SECONDS = 1.0  # the promise: an answer is on storage so long after it arrived
SLACK_SECONDS = 1.0  # for a machine that has other things to do: writing, and being scheduled at all
RECOVERY_SECONDS = 10.0  # after a failure of the storage, until the back-off has tried again
LEAVES_SECONDS = 1.0  # a second signal within it is the first one once more
MIME_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}


@cache
def _image(name: str | None) -> bytes | None:
    """What is sent for a cell."""
    return None if name in (None, BROKEN_IMAGE) else (IMAGE_FOLDER / name).read_bytes()


@cache
def digest(row: Row) -> str:
    return digest_of(row.text, _image(row.image))


def line_of(row: Row) -> tuple[str, str, str, str, str]:
    """The row in the CSV: id, text, whether with an image, answer, status."""
    image = _image(row.image)
    mime_type = MIME_TYPES[Path(row.image).suffix] if row.image and image else None
    return row.id, row.text, str(image is not None), answer_to(row.text, image, mime_type), "success"


@dataclass
class TimedLedger(Ledger):
    """Keeps the time of each answer."""

    times: list[tuple[float, str]] = field(default_factory=list)

    def note_answer(self, digest: str, usage: Usage, now: float) -> None:
        super().note_answer(digest, usage, now)
        self.times.append((now, digest))


class TimedEmulator(Emulator):
    """The API of one run."""

    def __init__(self, latency_seconds: float, seed: int) -> None:
        super().__init__(latency=LogNormal(latency_seconds, 0.6), seed=seed)
        self.ledger = self._state.ledger = TimedLedger()


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to a run, `at` a time of the monotonic clock, and how far the run was."""

    at: float
    what: What
    answers: int
    in_flight: int


@dataclass(slots=True)
class Account:
    """One run: what it was asked for, what it was answered, what was done to it."""

    wanted: Sequence[Row]
    fresh: bool
    storage_stays_away: bool  # once it fails
    ledger: TimedLedger
    events: list[Event] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    lost: Counter[str] = field(default_factory=Counter)  # what later runs had to pay for again

    @property
    def asked(self) -> Counter[str]:
        return Counter(digest(row) for row in self.wanted)

    @property
    def answered(self) -> Counter[str]:
        return Counter(dict(self.ledger.answered))

    @property
    def answers(self) -> int:
        return len(self.ledger.times)

    @property
    def kill(self) -> Event | None:
        return next((event for event in self.events if event.what is What.KILL), None)

    @property
    def left_at_once(self) -> bool:
        """Whether a second signal, late enough to be one, has ended the run."""
        heard = [event.at for event in self.events if event.what in (What.INTERRUPT, What.TERMINATE)]
        return bool(heard) and heard[-1] - heard[0] > LEAVES_SECONDS

    def note(self, what: What) -> None:
        self.events.append(Event(time.monotonic(), what, self.answers, self.ledger.in_flight))

    def given_since(self, since: float | None) -> Counter[str]:
        return Counter(digest for at, digest in list(self.ledger.times) if since is not None and at >= since)

    def may_be_lost(self) -> Counter[str]:
        """Answers that what happened to the run may have cost."""
        ends = [*self._failures(), *([self.events[-1].at] if self.left_at_once else [])]
        since = [awake_before(end, SAVED_SECONDS + SLACK_SECONDS, self.events) for end in ends]
        return self.given_since(min(since, default=None))

    def _failures(self) -> list[float]:
        """The times after which nothing could be saved."""
        ends: list[float] = []
        away = back = None
        for event in self.events:
            match event.what:
                case What.STORAGE_AWAY:
                    away = event.at
                case What.STORAGE_BACK:
                    back = event.at
                case What.KILL:
                    ends.append(event.at)
                    if away and (back is None or event.at - back < RECOVERY_SECONDS):
                        ends.append(away)
        if away and self.storage_stays_away:
            ends.append(away)
        return ends


def awake_before(end: float, seconds: float, events: Sequence[Event]) -> float:
    """The time `seconds` before `end`, not counting those in which the process was stopped."""
    stops = [event.at for event in events if event.what is What.STOP]
    wakes = [event.at for event in events if event.what is What.CONTINUE]
    for stop, wake in reversed([*zip(stops, [*wakes, end], strict=False)]):
        if stop < end:
            awake = end - min(wake, end)
            if awake >= seconds:
                break
            seconds, end = seconds - awake, stop
    return end - seconds


@dataclass(slots=True)
class Paid:
    """What one run paid for. `twice` counts answers that an earlier run had; `wished` those of a run without --resume.

    `unexplained`: beyond what the earlier runs may have lost, or twice within the run.
    """

    needed: int = 0
    twice: int = 0
    wished: int = 0
    unexplained: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    answers: int = 0

    def __str__(self) -> str:
        twice = f", {self.twice} paid twice" if self.twice else ""
        return f"{self.answers} answers for {self.needed} needed{twice}"


def needed(wanted: Counter[str], earlier: Sequence[Account]) -> Counter[str]:
    """What must be asked if nothing was lost."""
    return wanted - sum((account.answered for account in earlier), Counter())


def settle(account: Account, earlier: Sequence[Account]) -> Paid:
    """What `account` paid for, given all runs before it."""
    asked, answered = account.asked, account.answered
    strict = needed(asked, earlier)
    lost = sum((before.may_be_lost() for before in earlier), Counter())
    had = sum((before.answered for before in earlier), Counter())
    allowed = asked if account.fresh else asked - (had - lost)
    paid = Paid(needed=strict.total(), unexplained=answered - allowed, answers=answered.total())
    again = answered - strict
    if account.fresh:
        paid.wished = (again & asked).total()
        again = answered - asked
    paid.twice, paid.again = again.total(), again
    return paid


def blame(again: Counter[str], earlier: Sequence[Account]) -> None:
    """Put each answer that was paid for again on the account of the run that is likeliest to have lost it.

    That is the latest one that was killed, and then the latest; and no run can lose an answer twice.
    """
    likeliest_last = sorted(earlier, key=lambda account: account.kill is not None)
    for prompt, count in again.items():
        for account in reversed(likeliest_last):
            taken = min(count, account.answered[prompt] - account.lost[prompt])
            account.lost[prompt] += taken
            count -= taken
