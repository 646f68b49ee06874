"""Plays runs by batch jobs as processes of their own, each ended where it is told, and the next one resumes.

What must be true in the end: every row in the CSV with its own answer, none processed twice at the API, every batch
job on record and asked for once, nothing left open or in flight. Inputs left at the API are counted.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deployments.emulator import Emulator, FaultKind, answer_to
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.layout import jobs
from tasks.core.checkpoint.storage import LocalStorage
from tests.batch_reaper import Death, Reaper
from tests.batch_warm import STEPS
from tests.chaos_processes import Launcher, Process
from tests.services import clean_environment
from tests.support import CSV, numbered, read_csv, write_jsonl

ROWS, GROUP_ROWS = 10, 4
HANG_SECONDS, STUCK_SECONDS = 600.0, 8.0
LOSES_A_LINE = (FaultKind.LINE_MISSING, FaultKind.LAST_LINE_CUT)  # whose row the API has processed for nothing
type Prepare = Callable[[Emulator], object]


@dataclass(frozen=True, slots=True)
class Act:
    """A run. It dies at a request, or at a step of its own (see batch_warm.py), or not at all.

    `rivals`: that begin at the same time.
    """

    death: Death | None = None
    step: int | None = None
    rivals: int = 0
    flags: tuple[str, ...] = ()


@dataclass(slots=True)
class Played:
    """What came of a play. `requests` and `steps`: of its last run."""

    name: str
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    output: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where plays go on: how runs start, and how they find the Prefect server that they share."""

    folder: Path
    launcher: Launcher
    server: Mapping[str, str]


def play(name: str, on: Stage, acts: Sequence[Act], prepare: Prepare = lambda emulator: None, most: int = 4) -> Played:
    """The acts one after the other, then runs that nothing is done to until one has finished, `most` of them."""
    played, reaper = Played(name), Reaper()
    with Emulator(middlewares=[reaper.middleware]).in_thread() as emulator:
        emulator.batches.running_seconds = 0.3
        prepare(emulator)
        player = _Player(played, on, emulator, reaper)
        for act in acts:
            player.act(act)
        codes: list[int] = []
        while 0 not in codes and len(codes) < most:
            codes.append(player.act(Act()))
        if 0 not in codes:
            played.problems.append(f"no run finished: exit codes {codes}")
        played.problems += player.problems()
    return played


class _Player:
    def __init__(self, played: Played, on: Stage, emulator: Emulator, reaper: Reaper) -> None:
        self._played, self._on, self._emulator, self._reaper = played, on, emulator, reaper
        self._folder = on.folder / played.name.replace(" ", "-")
        (self._folder / "tmp").mkdir(parents=True)
        self._rows, self._expired = numbered(ROWS), 0
        write_jsonl(self._folder / "d.jsonl", self._rows)

    def act(self, act: Act) -> int:
        """Exit code of the run; of several that began at once the best one."""
        processes = [self._start(act, number) for number in range(1 + act.rivals)]
        self._reaper.watch(processes[0], act.death)
        codes = [self._end_of(process) for process in processes]
        counts = self._played.counts
        counts["processes"] += len(processes)
        counts["killed"] += codes.count(-9)
        counts["interrupted"] += codes.count(130)
        counts["turned away"] += codes.count(2)
        self._note(processes, codes, act)
        return min(codes, key=abs)

    def problems(self) -> Iterator[str]:
        yield from self._wrong_rows()
        stats, struck = self._emulator.stats, self._emulator.batches.faults.struck
        twice = sum(stats.answered_more_than_once.values()) - len(stats.answered_more_than_once)
        lost = sum(struck[kind] for kind in LOSES_A_LINE)
        self._played.counts["rows processed"] += stats.answers
        self._played.counts["rows processed again as the API lost their line"] += min(twice, lost)
        self._played.counts["rows processed twice"] += max(0, twice - lost)
        if twice > lost:
            yield f"rows processed twice: {twice}, of which the API lost {lost}"
        yield from self._wrong_jobs()
        self._played.counts["inputs left at the API"] += len(self._emulator.files.all())
        self._played.counts["folders left on the disk"] += len(list((self._folder / "tmp").iterdir()))

    def _wrong_rows(self) -> Iterator[str]:
        path = self._folder / CSV
        found = [(line["id"], line["response"], line["status"]) for line in read_csv(path)] if path.exists() else []
        wanted = [(row["id"], answer_to(row["input_query"]), "success") for row in self._rows]
        wrong = [line for line in wanted if line not in found]
        self._played.counts["rows"] += len(wanted)
        self._played.counts["rows lost"] += len(wrong)
        if found != wanted:
            yield f"the CSV is not that of an uninterrupted run: {len(wrong)} of {len(wanted)} rows wrong"

    def _wrong_jobs(self) -> Iterator[str]:
        made = self._emulator.batches.all()
        records = self._records()
        known = {group.display_name for group in records.all()}
        self._played.counts["batch jobs"] += len(made)
        if names := [name for name, times in Counter(job.display_name for job in made).items() if times > 1]:
            yield f"jobs made twice: {names}"
        if orphans := [job.display_name for job in made if job.display_name not in known]:
            yield f"jobs that are on no record: {orphans}"
        if at_work := [job.display_name for job in made if not job.state.ended]:
            yield f"jobs still at work: {at_work}"
        if left := [f"{group.display_name} {group.phase}" for group in records.under_way()]:
            yield f"left open on record: {left}"

    def _records(self) -> GroupRecords:
        storage = LocalStorage(self._folder / "storage")
        [job] = jobs(storage)
        return GroupRecords(storage, job)

    def _start(self, act: Act, number: int) -> Process:
        arguments = ["--dataset", "d.jsonl", "--mode", "batch", "--resume", *act.flags]
        environment = (
            clean_environment() | dict(self._on.server) | self._own() | (self._mortal(act) if number == 0 else {})
        )
        output = self._folder / f"output-{self._played.counts['processes'] + number}.txt"
        process = self._on.launcher.start(arguments, self._folder, environment, output)
        process.wait_until_started()
        return process

    def _mortal(self, act: Act) -> dict[str, str]:
        return {"DIES_BELOW": str(self._folder), "DIES_AT": str(-1 if act.step is None else act.step)}

    def _own(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self._folder / "home"),
            "PREFECT_LOCAL_STORAGE_PATH": str(self._folder / "storage"),
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "GOOGLE_API_KEY": "k",
            "GOOGLE_GEMINI_BASE_URL": self._emulator.url,
            "TMPDIR": str(self._folder / "tmp"),
        }

    def _end_of(self, process: Process) -> int:
        """Its exit code. A job that hangs expires meanwhile: two days pass."""
        started = time.monotonic()
        while process.alive and time.monotonic() - started < HANG_SECONDS:
            time.sleep(0.05)
            stuck = self._emulator.batches.faults.struck[FaultKind.STUCK]  # to list jobs is for the emulator's thread
            if stuck > self._expired and time.monotonic() - started > STUCK_SECONDS:
                self._expired = stuck
                self._emulator.forward(48 * 3600)
        if process.alive:
            self._played.problems.append(f"still runs after {HANG_SECONDS:.0f} s")
            process.send(Death(0).by)
        return process.ended.result(60)

    def _note(self, processes: Sequence[Process], codes: Sequence[int], act: Act) -> None:
        played = self._played
        played.requests = list(self._reaper.requests)
        played.steps = (self._folder / STEPS).read_text().splitlines() if (self._folder / STEPS).exists() else []
        for process, code in zip(processes, codes, strict=True):
            text = process.text()
            played.output += f"--- {act}: {code}\n{text}"
            if "Traceback" in text:
                played.problems.append("a traceback")
