"""What a seed means: what goes wrong at the API, and when each run of a play ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from signal import SIGINT, SIGKILL, SIGTERM

from deployments.emulator import BatchFault, BatchLimits, Emulator, FaultKind
from tests.batch_play import Act
from tests.batch_reaper import Death

# Seconds are those of a hurried run (batch_warm.py): a job that is listed 3 s late is so 300 s late.
FAULTS = (
    BatchFault(FaultKind.UPLOAD_REFUSED, code=429),
    BatchFault(FaultKind.UPLOAD_REFUSED, code=500),
    BatchFault(FaultKind.CHUNK_FAILS, times=2),
    BatchFault(FaultKind.CHUNK_CUT),
    BatchFault(FaultKind.CREATE_REFUSED, code=429),
    BatchFault(FaultKind.CREATE_REFUSED, code=503),
    BatchFault(FaultKind.CREATE_REFUSED, code=0),
    BatchFault(FaultKind.CREATE_UNCLEAR, code=503),
    BatchFault(FaultKind.CREATE_UNCLEAR, code=0),
    BatchFault(FaultKind.CREATE_UNCLEAR, code=0, seconds=1),
    BatchFault(FaultKind.CREATE_UNCLEAR, code=503, seconds=60),
    BatchFault(FaultKind.CREATE_SLOW, seconds=3),
    BatchFault(FaultKind.LISTED_LATE, seconds=3),
    BatchFault(FaultKind.LIST_FAILS, code=503, times=3),
    BatchFault(FaultKind.GET_FAILS, code=503, times=3),
    BatchFault(FaultKind.GET_FAILS, code=404),
    BatchFault(FaultKind.DOWNLOAD_FAILS, code=503, times=2),
    BatchFault(FaultKind.DOWNLOAD_FAILS, code=404),
    BatchFault(FaultKind.DOWNLOAD_FAILS, code=403),
    BatchFault(FaultKind.DOWNLOAD_CUT),
    BatchFault(FaultKind.STUCK),
    BatchFault(FaultKind.FAILED, code=3),
    BatchFault(FaultKind.FAILED, code=8, times=2),
    BatchFault(FaultKind.EXPIRED),
    BatchFault(FaultKind.CANCEL_IGNORED),
    BatchFault(FaultKind.CANCEL_TOO_LATE),
    BatchFault(FaultKind.CANCEL_HALFWAY),
    *(BatchFault(kind, code=code) for kind in (FaultKind.ERROR_LINE, FaultKind.STATUS_LINE) for code in (1, 8, 13, 14)),
    BatchFault(FaultKind.LAST_LINE_CUT),
    BatchFault(FaultKind.LINE_MISSING),
    BatchFault(FaultKind.LINE_DOUBLED, times=2),
    BatchFault(FaultKind.FOREIGN_KEY),
    BatchFault(FaultKind.SHUFFLED, times=3),
    BatchFault(FaultKind.RAW_SEPARATORS, times=3),
)
_CANCELS = (FaultKind.CANCEL_IGNORED, FaultKind.CANCEL_TOO_LATE, FaultKind.CANCEL_HALFWAY)
MOST_STEPS, MOST_REQUESTS = 100, 30


@dataclass(frozen=True, slots=True)
class Script:
    """A play: its acts, and the world they are in."""

    acts: Sequence[Act]
    faults: Sequence[BatchFault]
    limits: BatchLimits
    running_seconds: float
    page_size: int

    def prepare(self, emulator: Emulator) -> None:
        batches = emulator.batches
        batches.faults.set(self.faults)
        batches.limits, batches.running_seconds, batches.page_size = self.limits, self.running_seconds, self.page_size


def draw(seed: int) -> Script:
    """A seed always means the same."""
    random = Random(seed)
    faults = random.sample(FAULTS, random.choice([0, 1, 1, 2, 3]))
    limits = random.choice([BatchLimits(), BatchLimits(), BatchLimits(active_jobs=1), BatchLimits(enqueued_tokens=150)])
    # A run in which jobs are cancelled has a deadline, in its last act as well.
    late = any(fault.kind in _CANCELS for fault in faults)
    acts = [_act(random, late) for _ in range(random.choice([1, 1, 2, 2, 3, 4]))]
    return Script(acts, faults, limits, random.choice([0.0, 0.3, 0.3, 2.0]), random.choice([2, 100]))


def _act(random: Random, late: bool) -> Act:
    flags = ("--deadline", "1m") if late else ()
    match random.randrange(8):
        case 0:
            return Act(step=random.randrange(MOST_STEPS), rivals=random.choice([1, 2]), flags=flags)
        case 1 | 2 | 3:
            return Act(step=random.randrange(MOST_STEPS), flags=flags)
        case number:
            by = {4: SIGINT, 5: SIGTERM}.get(number, SIGKILL)
            return Act(Death(random.randrange(MOST_REQUESTS), random.random() < 0.5, by), flags=flags)
