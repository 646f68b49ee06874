"""Plays a scenario: starts its runs, does to them what it says, and asks the oracles after each.

Must not judge: what is right is chaos_oracles.py's, who paid for what chaos_ledger.py's.
"""

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos_disk import Disk
from tests.chaos_ledger import IMAGE_FOLDER, Account, TimedEmulator, blame, needed, settle
from tests.chaos_oracles import Fault, Run, answers_in, check_rival, check_run, wrong_rows
from tests.chaos_processes import Cold, Launcher, Process, Warm
from tests.chaos_scenario import Act, Row, Scenario, Step, What, draw
from tests.services import clean_environment
from tests.support import RESULT

POLL_SECONDS = 0.01
HANG_SECONDS = 120.0  # after the last thing that was done to a run
UNUSED_SECONDS = 60.0  # a local server that nobody uses ends by itself, once its history is written
TAKEOVER_SECONDS = 100.0  # a lock whose owner was killed is to be free after 90 s
TO_THE_PROCESS = {
    What.STOP: signal.SIGSTOP,
    What.CONTINUE: signal.SIGCONT,
    What.KILL: signal.SIGKILL,
    What.TERMINATE: signal.SIGTERM,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenarios are played: how runs start, how they find the server that they share, a database to copy."""

    folder: Path
    launcher: Launcher
    server: Mapping[str, str]
    database: Path


@dataclass(slots=True)
class Played:
    """What came of a scenario."""

    scenario: Scenario
    runs: list[Run] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    wrong_rows: int = 0
    takeover_seconds: float = 0.0

    @property
    def kill_costs(self) -> list[tuple[int, int]]:
        """Answers lost and requests in flight, for each kill."""
        accounts = (run.account for run in self.runs)
        return [(account.lost.total(), account.kill.in_flight) for account in accounts if account.kill]

    def report(self) -> str:
        faults = [f"  {fault.kind}: {fault.what}" for fault in self.faults]
        outputs = [f"--- act {run.act} {run.name}\n{_shown(run.process.text())}" for run in self.runs]
        return "\n".join([str(self.scenario), "what happened", *map(str, self.runs), "faults", *faults, *outputs])


def _shown(text: str) -> str:
    """A long output without its middle."""
    lines = text.splitlines()
    cut = [f"... {len(lines) - 60} lines ..."] if len(lines) > 60 else []
    return "\n".join([*lines[:20], *cut, *lines[20:][-40:]])


@contextmanager
def stage(folder: Path, *, cold: bool = False) -> Iterator[Stage]:
    """A stage below `folder`, with the Prefect server that this process uses."""
    server = {name: text for name, text in os.environ.items() if name.startswith("PREFECT_API_")}
    with ExitStack() as stack:
        environment = clean_environment() | {"PREFECT_HOME": str(folder / "warm")}
        launcher = Cold() if cold else stack.enter_context(Warm(environment))
        yield Stage(folder, launcher, server, Path(os.environ["PREFECT_HOME"]) / "prefect.db")


def play_all(seeds: Iterable[int], on: Stage, pool: Executor) -> dict[int, Future[Played]]:
    """Each seed's play, under way or waiting for its turn; what takes longest comes first."""
    scenarios = sorted((draw(seed) for seed in seeds), key=lambda scenario: not scenario.slow)
    return {scenario.seed: pool.submit(play, scenario, on) for scenario in scenarios}


def play(scenario: Scenario, on: Stage) -> Played:
    """All acts, one after the other, in a folder of their own."""
    player = _Player(scenario, on)
    try:
        player.play()
    finally:
        player.clean_up()
    return player.played


class _Player:
    def __init__(self, scenario: Scenario, on: Stage) -> None:
        self.played = Played(scenario)
        self._scenario, self._stage = scenario, on
        self._folder = on.folder / f"seed-{scenario.seed}"
        self._home, self._result = self._folder / "home", self._folder / "result"
        self._answers: set[tuple[str, str]] = set()  # in all CSVs so far
        self._left_at = time.monotonic()  # when the last run was gone
        for folder in (self._home, self._folder / "data"):
            folder.mkdir(parents=True)
        self._disk = Disk(self._folder)
        shutil.copytree(IMAGE_FOLDER, self._folder / "data" / "images")
        if scenario.own_server:
            _copy_database(on.database, self._home / "prefect.db")

    def play(self) -> None:
        for number, act in enumerate(self._scenario.acts):
            self._write_data(act.rows)
            while self._act(number, act).locked_out:
                self.played.takeover_seconds = time.monotonic() - self._left_at
                time.sleep(1)
            self._left_at = time.monotonic()
        self._check_end()

    def clean_up(self) -> None:
        for run in self.played.runs:
            run.process.send(signal.SIGKILL)
        for process in self._servers():
            process.kill()

    def _write_data(self, rows: Iterable[Row]) -> None:
        cells = [(row.id, row.text, row.image and f"images/{row.image}") for row in rows]
        lines = [json.dumps(dict(zip(("id", "input_query", "image_path"), each, strict=True))) for each in cells]
        (self._folder / "data" / "d.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def _act(self, number: int, act: Act) -> Run:
        """The run of an act, over and judged; a second one beside it too, if there was one."""
        with ExitStack() as apis:
            run = self._start(number, act.kind, act, act.resume, apis)
            runs = [run]
            for step in act.steps:
                if not self._reached(run, step):
                    break
                run.account.note(step.what)
                if step.what is What.RIVAL:
                    runs.append(self._start(number, "rival", act, True, apis))
                else:
                    self._do(step.what, run.process)
            for each in runs:
                self._wait(each)
        self._disk.mend()
        run.locked_out = self._met_an_old_lock(run)
        self._judge(runs, act)
        return run

    def _start(self, number: int, name: str, act: Act, resume: bool, apis: ExitStack) -> Run:
        emulator = apis.enter_context(TimedEmulator(act.latency_seconds, self._scenario.seed).in_thread())
        output = self._folder / f"{len(self.played.runs)}-{name.replace(' ', '-')}.txt"
        arguments = ["--dataset", "data/d.jsonl", *act.flags, *(["--resume"] if resume else [])]
        process = self._stage.launcher.start(arguments, self._folder, self._environment(emulator), output)
        process.wait_until_started()
        account = Account(act.wanted, not resume, act.storage_stays_away, emulator.ledger)
        self.played.runs.append(Run(number, name, account, process))
        return self.played.runs[-1]

    def _environment(self, emulator: TimedEmulator) -> dict[str, str]:
        own = {
            "PREFECT_HOME": str(self._home),
            "PREFECT_LOCAL_STORAGE_PATH": str(self._disk.storage),
            "PREFECT_LOGGING_TO_API_ENABLED": "false",  # a third of the load, and nobody reads it
            "GOOGLE_API_KEY": "k",
            "GOOGLE_GEMINI_BASE_URL": emulator.url,
        }
        server = {} if self._scenario.own_server else dict(self._stage.server)
        return clean_environment() | own | server

    def _before(self, run: Run) -> list[Account]:
        return [earlier.account for earlier in self.played.runs[: self.played.runs.index(run)]]

    def _reached(self, run: Run, step: Step) -> bool:
        """Wait for the moment of a step; False when the run ends before, or hangs."""
        answers = step.at.share * needed(run.account.asked, self._before(run)).total()
        hung_at = time.monotonic() + HANG_SECONDS
        while self._is_starting(run) or (run.process.alive and run.account.answers < answers):
            if time.monotonic() > hung_at:
                return False
            time.sleep(POLL_SECONDS)
        at = time.monotonic() + step.at.seconds
        while run.process.alive and (left := at - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))
        return run.process.alive

    def _is_starting(self, run: Run) -> bool:
        """Before its first line, it is Python that hears a signal and not the program."""
        return run.process.alive and not run.process.text()

    def _do(self, what: What, process: Process) -> None:
        match what:
            case What.INTERRUPT:
                process.send_to_group(signal.SIGINT)
            case What.STORAGE_AWAY:
                self._disk.fail()
            case What.STORAGE_BACK:
                self._disk.mend()
            case What.KILL_SERVER:
                for server in self._servers():
                    server.kill()
            case _:
                process.send(TO_THE_PROCESS[what])

    def _servers(self) -> list[psutil.Process]:
        """Local servers of this play: of its PREFECT_HOME, which is nobody else's."""
        found = []
        for process in psutil.process_iter() if self._scenario.own_server else ():
            with suppress(psutil.Error):
                ours = process.environ().get("PREFECT_HOME") == str(self._home)
                if ours and any("local_server" in part for part in process.cmdline()):
                    found.append(process)
        return found

    def _wait(self, run: Run) -> None:
        try:
            run.code = run.process.ended.result(HANG_SECONDS)
        except TimeoutError:
            self._add(run, Fault("hang", f"still runs {HANG_SECONDS:.0f} s after the last thing that was done to it"))
            run.process.send(signal.SIGKILL)
            run.code = run.process.ended.result(HANG_SECONDS)
        run.seconds = time.monotonic() - run.account.started

    def _met_an_old_lock(self, run: Run) -> bool:
        """Whether a run was refused though no other one is left, and it may be so for a while yet."""
        storage_failed = any(event.what is What.STORAGE_AWAY for event in run.account.events)
        return run.code == 2 and not storage_failed and time.monotonic() - self._left_at < TAKEOVER_SECONDS

    def _judge(self, runs: list[Run], act: Act) -> None:
        for run in runs:
            run.paid = settle(run.account, self._before(run))
            blame(run.paid.again, self._before(run))
            self._add(run, *check_run(run))
        if len(runs) == 2:
            self._add(runs[1], *check_rival(*runs))
        if any(run.code == 0 for run in runs) and (wrong := wrong_rows(self._result / f"{RESULT}.csv", act.wanted)):
            self.played.wrong_rows += wrong
            self._add(runs[0], Fault("rows", f"{wrong} rows of the CSV are not those of {len(act.wanted)} wanted"))
        found = answers_in(self._result.rglob("*.csv"))
        if gone := self._answers - found:
            self._add(runs[0], Fault("csv", f"{len(gone)} answers of an earlier CSV are in no CSV any more"))
        self._answers |= found

    def _check_end(self) -> None:
        last = self.played.runs[-1]
        if drafts := [path.name for path in self._result.glob(".infer-*")]:
            self._add(last, Fault("drafts", f"left behind: {', '.join(drafts)}"))
        unused_since = time.monotonic()
        while (left := self._servers()) and time.monotonic() - unused_since < UNUSED_SECONDS:
            time.sleep(1)
        if left:
            self._add(last, Fault("server", f"{len(left)} local servers run on for {UNUSED_SECONDS:.0f} s, unused"))

    def _add(self, run: Run, *faults: Fault) -> None:
        self.played.faults += [Fault(fault.kind, f"act {run.act} {run.name}: {fault.what}") for fault in faults]


def _copy_database(source: Path, target: Path) -> None:
    """A first boot of a server makes a database, which takes it 18 s."""
    with sqlite3.connect(source) as ready, sqlite3.connect(target) as copy:
        ready.backup(copy)
