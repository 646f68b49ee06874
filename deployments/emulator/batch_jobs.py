"""The life of batch jobs: PENDING, RUNNING, ended; by the emulator's clock alone, and only when somebody looks.

Must not know HTTP, nor what a row is answered (`batch_rows.py`). Sizes, limits and lives:
https://ai.google.dev/gemini-api/docs/batch-api.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from deployments.emulator.batch_faults import FaultKind, Faults

LIFE_SECONDS = 48 * 3600.0
_CHARS_PER_TOKEN = 4


class JobState(StrEnum):
    """As the wire has it, after `BATCH_STATE_`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def ended(self) -> bool:
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(slots=True)
class Job:
    """One job. `lines`: of the input; `results`: of those of them that are done. `stuck` and others: how it ends."""

    name: str
    model: str
    display_name: str
    project: str
    lines: Sequence[bytes]
    tokens: int
    created_at: float
    inline: bool = False
    listed_at: float = 0.0
    state: JobState = JobState.PENDING
    ended_at: float | None = None
    cancelled_at: float | None = None
    fate: FaultKind | None = None
    error_code: int = 0
    results: list[bytes] = field(default_factory=list)
    failures: int = 0

    @property
    def results_file(self) -> str:
        """Its name, longer than a name that may be deleted."""
        return f"files/batch-{self.name.removeprefix('batches/')}"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Of a project. `enqueued_tokens`: of a model; a token is four characters of the input here."""

    active_jobs: int = 100
    enqueued_tokens: int | None = None


type AnswerRow = Callable[[Job, bytes], tuple[bytes, bool]]


class Jobs:
    """All jobs of all projects, newest last.

    `pending_seconds`, `running_seconds`: of jobs made from now on. `projects`: of keys that do not share the common
    one. `page_size`: entries on a page of a list at most. `calls`: by method.
    """

    def __init__(self, clock: Callable[[], float], answer: AnswerRow) -> None:
        self.pending_seconds = self.running_seconds = 0.0
        self.limits, self.page_size = BatchLimits(), 100
        self.projects: dict[str, str] = {}
        self.faults, self.calls = Faults(), Counter[str]()
        self._clock, self._answer = clock, answer
        self._jobs: dict[str, Job] = {}
        self._late: list[tuple[float, Callable[[], object]]] = []

    def create(self, model: str, display_name: str, project: str, lines: Sequence[bytes], inline: bool = False) -> Job:
        """A new job."""
        faults, now = self.faults, self._clock()
        number = len(self._jobs) + 1
        digest = hashlib.sha256(f"{number}".encode()).hexdigest()[:36]  # real ones are as long
        tokens = sum(map(len, lines)) // _CHARS_PER_TOKEN
        job = Job(f"batches/{digest}", model, display_name, project, lines, tokens, now, inline)
        late = faults.take(FaultKind.LISTED_LATE)
        job.listed_at = now + (late.seconds if late else 0.0)
        for kind in (FaultKind.STUCK, FaultKind.FAILED, FaultKind.EXPIRED):
            if fault := faults.take(kind):
                job.fate, job.error_code = kind, fault.code
                break
        self._jobs[job.name] = job
        return job

    def create_later(self, seconds: float, create: Callable[[], object]) -> None:
        """Let `create` take effect after a while."""
        self._late.append((self._clock() + seconds, create))

    def has_room(self, model: str, project: str, lines: Sequence[bytes]) -> bool:
        """Whether one more may be made."""
        active = [job for job in self.all(project) if not job.state.ended]
        if len(active) >= self.limits.active_jobs:
            return False
        tokens = sum(job.tokens for job in active if job.model == model)
        most = self.limits.enqueued_tokens
        return most is None or tokens + sum(map(len, lines)) // _CHARS_PER_TOKEN <= most

    def all(self, project: str | None = None) -> list[Job]:
        """The jobs of a project, or all, newest first, each as it is by now."""
        self._settle()
        return [job for job in reversed(self._jobs.values()) if project in (None, job.project)]

    def find(self, name: str, project: str) -> Job | None:
        self._settle()
        job = self._jobs.get(name)
        return job if job and job.project == project else None

    def results_of(self, file: str, project: str) -> Job | None:
        """The ended job whose results file is called so."""
        job = self.find(file.replace("files/batch-", "batches/"), project)
        return job if job and job.state.ended and job.results else None

    def stored(self) -> int:
        """Bytes of all results, which nobody can delete."""
        return sum(len(line) + 1 for job in self._jobs.values() if not job.inline for line in job.results)

    def cancel(self, job: Job) -> None:
        """Ask for its end."""
        now = self._clock()
        if job.state.ended or self.faults.take(FaultKind.CANCEL_IGNORED):
            return
        if self.faults.take(FaultKind.CANCEL_TOO_LATE):
            self._work(job, len(job.lines))
            self._end(job, JobState.SUCCEEDED, now)
            return
        if self.faults.take(FaultKind.CANCEL_HALFWAY):
            self._work(job, len(job.lines) // 2)
        self._end(job, JobState.CANCELLED, now)

    def delete(self, job: Job) -> None:
        del self._jobs[job.name]

    def project_of(self, key: str | None) -> str:
        return self.projects.get(key or "", "common")

    def _settle(self) -> None:
        """Bring all jobs to where they are by now."""
        now = self._clock()
        due = [create for at, create in self._late if at <= now]
        self._late = [(at, create) for at, create in self._late if at > now]
        for create in due:
            create()
        for job in self._jobs.values():
            if not job.state.ended:
                self._go_on(job, now)

    def _go_on(self, job: Job, now: float) -> None:
        age = now - job.created_at - self.pending_seconds
        if now - job.created_at >= LIFE_SECONDS:
            self._end(job, JobState.EXPIRED, now)
        elif age >= 0 and job.fate is not FaultKind.STUCK:
            done = age >= self.running_seconds
            if done and job.fate:
                self._end(job, JobState.FAILED if job.fate is FaultKind.FAILED else JobState.EXPIRED, now)
                return
            job.state = JobState.RUNNING
            if not job.fate:
                self._work(job, len(job.lines) if done else int(len(job.lines) * age / self.running_seconds))
            if done:
                self._end(job, JobState.SUCCEEDED, now)

    def _work(self, job: Job, rows: int) -> None:
        """Answer rows until so many are done."""
        for line in job.lines[len(job.results) : rows]:
            result, answered = self._answer(job, line)
            job.results.append(result)
            job.failures += not answered

    def _end(self, job: Job, state: JobState, now: float) -> None:
        job.state, job.ended_at = state, now
        job.lines = job.lines if job.inline else [b""] * len(job.lines)  # they may be large
        if job.results:
            job.results = _spoilt(job.results, self.faults)


def _spoilt(lines: list[bytes], faults: Faults) -> list[bytes]:
    """The lines of a results file, with what is wrong with it."""
    lines = list(lines)
    if faults.take(FaultKind.LINE_MISSING):
        del lines[len(lines) // 2]
    if faults.take(FaultKind.LINE_DOUBLED) and lines:
        lines.insert(0, lines[-1])
    if faults.take(FaultKind.FOREIGN_KEY) and lines:
        lines.insert(0, b'{"key": "000000.of-somebody-else", "response": {}}')
    if faults.take(FaultKind.SHUFFLED):
        Random(len(lines)).shuffle(lines)
    if faults.take(FaultKind.RAW_SEPARATORS):
        lines = [line[:-1] + ', "note": "a\u2028b\u0085c"}'.encode() for line in lines]
    if faults.take(FaultKind.LAST_LINE_CUT) and lines:
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
    return lines
