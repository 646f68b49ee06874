"""Plays scenarios with real processes and looks for what went wrong: `python -m tests.chaos --seeds 200`.

A seed that fails is printed whole, with the times at which things happened, and plays alone with `--seed N`;
`--cold` plays it with `python flows/infer.py` in place of warm forks of it.
"""

import argparse
import csv
import ctypes
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos_ledger import IMAGE_FOLDER, Account, Event, Paid, TimedEmulator, blame, line_of, needed, settle
from tests.chaos_processes import Cold, Launcher, Process, Warm
from tests.chaos_scenario import FIRST_STEP_SECONDS, Act, Row, Scenario, Step, What, draw

POLL_SECONDS = 0.01
HANG_SECONDS = 120.0  # after the last thing that was done to a run
TAKEOVER_SECONDS = 90.0  # the promise, for a lock whose owner was killed
CSV = "gemini-2.5-flash_test_result.csv"
SIGNALS = {What.STOP: signal.SIGSTOP, What.CONTINUE: signal.SIGCONT, What.KILL: signal.SIGKILL}


@dataclass(frozen=True, slots=True)
class Fault:
    """What must not be. `kind` is the word for it in the table."""

    kind: str
    what: str


@dataclass(slots=True)
class Run:
    """One process of a play, when it is over."""

    act: int
    name: str
    account: Account
    process: Process
    code: int = 0
    seconds: float = 0.0
    paid: Paid = field(default_factory=Paid)

    def __str__(self) -> str:
        lines = [f"  act {self.act} {self.name}: {self.seconds:.2f} s, exit code {self.code}, {self._money()}"]
        lines += [f"    {self._event(event)}" for event in self.account.events]
        return "\n".join(lines)

    def _money(self) -> str:
        paid = f"{len(self.account.ledger.times)} answers for {self.paid.needed} needed"
        return paid + (f", {self.paid.twice} paid twice" if self.paid.twice else "")

    def _event(self, event: Event) -> str:
        after = event.at - self.account.started
        return f"{after:6.2f} s  {event.what} ({event.answers} answered, {event.in_flight} in flight)"


@dataclass(slots=True)
class Played:
    """What came of a scenario."""

    scenario: Scenario
    runs: list[Run] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    wrong_rows: int = 0
    takeover_seconds: float = 0.0

    @property
    def seed(self) -> int:
        return self.scenario.seed

    @property
    def kill_costs(self) -> list[tuple[int, int]]:
        """Answers lost and requests in flight, for each kill."""
        accounts = (run.account for run in self.runs)
        return [(account.lost.total(), account.kill.in_flight) for account in accounts if account.kill]

    def report(self) -> str:
        faults = [f"  {fault.kind}: {fault.what}" for fault in self.faults]
        outputs = [f"--- act {run.act} {run.name}\n{_shown(run.process.text())}" for run in self.runs]
        return "\n".join([str(self.scenario), "what happened", *map(str, self.runs), "faults", *faults, *outputs])


@dataclass(frozen=True, slots=True)
class Stage:
    """Where scenarios are played: how runs start, the Prefect server that they share, and a database to copy."""

    folder: Path
    launcher: Launcher
    api_url: str
    database: Path


def play(scenario: Scenario, stage: Stage) -> Played:
    """All acts, one after the other, in a folder of their own."""
    folder = stage.folder / f"seed-{scenario.seed}"
    shutil.rmtree(folder, ignore_errors=True)
    player = _Player(scenario, stage, folder)
    try:
        player.play()
    finally:
        player.clean_up()
    return player.played


class _Player:
    def __init__(self, scenario: Scenario, stage: Stage, folder: Path) -> None:
        self.played = Played(scenario)
        self._scenario, self._stage, self._folder = scenario, stage, folder
        self._disk = _Disk(folder)
        self._home = folder / "home"
        self._lines: set[tuple[str, str]] = set()  # what was asked and answered, of all CSVs so far
        self._left_at = time.monotonic()  # when the last run was gone
        (folder / "data").mkdir(parents=True)
        self._home.mkdir()
        shutil.copytree(IMAGE_FOLDER, folder / "data" / "images")
        if scenario.own_server:
            _copy_database(stage.database, self._home / "prefect.db")

    def play(self) -> None:
        for number, act in enumerate(self._scenario.acts):
            self._write_data(act.rows)
            runs = self._act(number, act)
            while self._locked_out(runs[0]):
                self.played.takeover_seconds = time.monotonic() - self._left_at
                time.sleep(1)
                runs = self._act(number, act)
            self._left_at = time.monotonic()
        self._check_end()

    def clean_up(self) -> None:
        for run in self.played.runs:
            run.process.send(signal.SIGKILL)
        for process in self._servers():
            process.kill()

    def _write_data(self, rows: Iterable[Row]) -> None:
        lines = [
            {"id": row.id, "input_query": row.text, "image_path": row.image and f"images/{row.image}"} for row in rows
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (self._folder / "data" / "d.jsonl").write_text(text)

    def _locked_out(self, run: Run) -> bool:
        """Whether a run met the lock of one that is gone, which it may for a while."""
        anew = all(event.what is not What.STORAGE_AWAY for event in run.account.events)
        return anew and run.code == 2 and time.monotonic() - self._left_at < TAKEOVER_SECONDS

    def _act(self, number: int, act: Act) -> list[Run]:
        """The run of an act, and its rival if there was one."""
        with ExitStack() as stack:
            run = self._start(number, act.kind, act, stack)
            runs = [run]
            for step in act.steps:
                if not self._reached(run, step):
                    break
                run.account.note(step.what)
                if step.what is What.RIVAL:
                    runs.append(self._start(number, "rival", act, stack))
                else:
                    self._do(step.what, run.process)
            for each in runs:
                self._wait(each)
            self._disk.mend()
        for each in runs:
            self._settle(each)
        if len(runs) > 1:
            self._check_rival(*runs)
        self._check_csv(runs, act)
        return runs

    def _start(self, number: int, name: str, act: Act, stack: ExitStack) -> Run:
        emulator = TimedEmulator(act.latency_seconds, self._scenario.seed)
        stack.enter_context(emulator.in_thread())
        account = Account(act.wanted, not act.resume, emulator.ledger)
        output = self._folder / f"{len(self.played.runs)}-{name.replace(' ', '-')}.txt"
        flags = act.flags + (["--resume"] if name == "rival" and not act.resume else [])
        if name == "rival":
            account.fresh = False
        process = self._stage.launcher.start(
            ["--dataset", "data/d.jsonl", *flags], self._folder, self._environment(emulator), output
        )
        assert process.pid
        account.started = time.monotonic()
        run = Run(number, name, account, process)
        self.played.runs.append(run)
        return run

    def _environment(self, emulator: TimedEmulator) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT", "GOOGLE"))}
        own = {
            "PREFECT_HOME": str(self._home),
            "PREFECT_LOCAL_STORAGE_PATH": str(self._disk.storage),
            "GOOGLE_API_KEY": "k",
            "GOOGLE_GEMINI_BASE_URL": emulator.url,
        }
        return clean | own | ({} if self._scenario.own_server else {"PREFECT_API_URL": self._stage.api_url})

    def _accounts(self, but: Run | None = None) -> list[Account]:
        return [run.account for run in self.played.runs if run is not but]

    def _reached(self, run: Run, step: Step) -> bool:
        """Wait for the moment of a step; False when the run ends before."""
        answers = step.at.share * needed(run.account.asked, self._accounts(but=run)).total()
        limit = time.monotonic() + HANG_SECONDS
        while run.process.alive and len(run.account.ledger.times) < answers:
            if time.monotonic() > limit:
                return False
            time.sleep(POLL_SECONDS)
        at = max(time.monotonic() + step.at.seconds, run.account.started + FIRST_STEP_SECONDS)
        while run.process.alive and (left := at - time.monotonic()) > 0:
            time.sleep(min(POLL_SECONDS, left))
        return run.process.alive

    def _do(self, what: What, process: Process) -> None:
        match what:
            case What.INTERRUPT:
                process.send_to_group(signal.SIGINT)
            case What.TERMINATE:
                process.send(signal.SIGTERM)
            case What.STORAGE_AWAY:
                self._disk.fail()
            case What.STORAGE_BACK:
                self._disk.mend()
            case What.KILL_SERVER:
                for server in self._servers():
                    server.kill()
            case _:
                process.send(SIGNALS[what])

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
            self._fault(run, "hang", f"still runs {HANG_SECONDS:.0f} s after the last thing that was done to it")
            run.process.send(signal.SIGKILL)
            run.code = run.process.ended.result(30)
        run.seconds = time.monotonic() - run.account.started

    def _settle(self, run: Run) -> None:
        """Ask of a run what every run must keep to."""
        fitting = _fitting(run)
        if run.code not in fitting and run.name != "rival" and not self._locked_out(run):
            self._fault(run, "exit", f"exit code {run.code} is none of {', '.join(map(str, sorted(fitting)))}")
        text = run.process.text()
        if "Traceback" in text:
            self._fault(run, "traceback", "a traceback in the output")
        if run.code == 130 and "--resume" not in text and not run.account.left_at_once:
            self._fault(run, "words", "interrupted, and not a word of --resume")
        earlier = self._accounts()[: self.played.runs.index(run)]
        run.paid = settle(run.account, earlier)
        if run.paid.unexplained:
            self._fault(run, "paid twice", f"{run.paid.unexplained.total()} answers, which nothing explains")
        blame(run.paid.again, earlier)

    def _check_rival(self, run: Run, rival: Run) -> None:
        """While a run holds its job, a second one ends with exit code 2, names the holder and pays nothing."""
        if run.account.kill or run.account.started + run.seconds < rival.account.started + rival.seconds:
            return  # the holder ended first: what the second one did is judged by what it paid for
        if rival.code != 2:
            self._fault(rival, "two runs", f"exit code {rival.code} while process {run.process.pid} held the job")
        elif str(run.process.pid) not in rival.process.text():
            self._fault(rival, "two runs", f"does not name process {run.process.pid}, which holds the job")
        if rival.account.ledger.times:
            self._fault(rival, "two runs", f"paid for {len(rival.account.ledger.times)} answers")

    def _check_csv(self, runs: list[Run], act: Act) -> None:
        """After exit code 0 the CSV is whole; whatever happened, no line of an earlier CSV is gone."""
        if any(run.code == 0 for run in runs):
            wrong = _wrong_rows(self._folder / "result" / CSV, act)
            self.played.wrong_rows += wrong
            if wrong:
                self._fault(runs[0], "rows", f"{wrong} rows of the CSV are not those of {len(act.wanted)} wanted")
        lines = {(line["input_query"], line["response"]) for path in self._csvs() for line in _read(path)}
        if gone := self._lines - lines:
            self._fault(runs[0], "csv", f"{len(gone)} answers of an earlier CSV are in no CSV any more")
        self._lines |= lines

    def _check_end(self) -> None:
        last = self.played.runs[-1]
        if last.code != 0:
            self._fault(last, "exit", f"the last --resume ended with exit code {last.code}")
        drafts = [path.name for path in (self._folder / "result").glob(".infer-*")]
        if drafts:
            self._fault(last, "drafts", f"left behind: {', '.join(drafts)}")
        if left := self._servers():
            self._fault(last, "server", f"{len(left)} local servers outlive the last run")

    def _csvs(self) -> Iterator[Path]:
        return (self._folder / "result").rglob("*.csv")

    def _fault(self, run: Run, kind: str, what: str) -> None:
        self.played.faults.append(Fault(kind, f"act {run.act} {run.name}: {what}"))


class _Disk:
    """A result storage that can fail. Root may write anywhere, so a plain file takes the folder's place.

    The two change places in one system call: a run can't make the folder anew in between.
    """

    def __init__(self, folder: Path) -> None:
        self.storage, self._other = folder / "storage", folder / "storage-aside"
        self.storage.mkdir(parents=True)
        self._other.write_text("not a folder")

    def fail(self) -> None:
        if self.storage.is_dir():
            _exchange(self.storage, self._other)

    def mend(self) -> None:
        if self.storage.is_file():
            _exchange(self.storage, self._other)


def _exchange(one: Path, other: Path) -> None:
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange):
        raise OSError(ctypes.get_errno(), f"{one} and {other} can't change places")


def _shown(text: str) -> str:
    """A long output without its middle."""
    lines = text.splitlines()
    cut = [f"... {len(lines) - 60} lines ..."] if len(lines) > 60 else []
    return "\n".join([*lines[:20], *cut, *lines[20:][-40:]])


def _fitting(run: Run) -> set[int]:
    """The exit codes that what happened to a run allows."""
    done = {event.what for event in run.account.events}
    codes = {0}
    if done & {What.INTERRUPT, What.TERMINATE}:
        codes.add(130)
    if What.KILL in done:
        codes.add(-signal.SIGKILL)
    if What.STORAGE_AWAY in done:
        codes |= {1} if run.account.ledger.times else {1, 2}  # where nothing can be kept, nothing may be sent
    return codes


def _wrong_rows(path: Path, act: Act) -> int:
    """Lines that are missing, too many, out of order, or with the answer of another row."""
    wanted = [line_of(row) for row in act.wanted]
    broken = [row.image is not None and line[2] == "False" for row, line in zip(act.wanted, wanted, strict=True)]
    found = _read(path) if path.exists() else []
    columns = ("id", "input_query", "has_image", "response", "status")
    right = sum(
        tuple(line[column] for column in columns) == expected and bool(line["error_message"]) == note
        for line, expected, note in zip(found, wanted, broken, strict=False)
    )
    return max(len(found), len(wanted)) - right


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _copy_database(source: Path, target: Path) -> None:
    """A first boot of a server makes a database, which takes it 18 s."""
    with sqlite3.connect(source) as ready, sqlite3.connect(target) as copy:
        ready.backup(copy)


def table(played: Iterable[Played]) -> str:
    """The figures of a series."""
    plays = list(played)
    runs = [run for play in plays for run in play.runs]
    kills = [cost for play in plays for cost in play.kill_costs]
    done = Counter(str(event.what) for run in runs for event in run.account.events)
    faults = Counter(fault.kind for play in plays for fault in play.faults)
    lost, in_flight = max(kills, key=sum, default=(0, 0))
    lines = {
        "scenarios": len(plays),
        "runs": len(runs),
        "rows": sum(len(play.scenario.acts[-1].rows) for play in plays),
        "answers": sum(len(run.account.ledger.times) for run in runs),
        "things done to runs": _counted(done),
        "edits, other limits, fresh runs": _changes(plays),
        "kills": len(kills),
        "wrong rows": sum(play.wrong_rows for play in plays),
        "answers paid twice": sum(run.paid.twice for run in runs),
        "of them not explained by a kill": sum(run.paid.unexplained.total() for run in runs),
        "paid again by runs without --resume": sum(run.paid.wished for run in runs),
        "the most that one kill cost": f"{lost} answers and {in_flight} requests in flight",
        "a kill on average": f"{sum(cost[0] for cost in kills) / max(1, len(kills)):.1f} answers",
        "longest takeover of a lock": f"{max((play.takeover_seconds for play in plays), default=0.0):.0f} s",
        "faults": _counted(faults),
        "seeds with faults": " ".join(str(play.seed) for play in sorted(plays, key=lambda p: p.seed) if play.faults),
    }
    return "\n".join(f"{name:<36} {value or 'none'}" for name, value in lines.items())


def _changes(plays: list[Played]) -> str:
    acts = [act for play in plays for act in play.scenario.acts]
    edits, limits = sum(bool(act.edit) for act in acts), sum(act.limit is not None for act in acts)
    return f"{edits}, {limits}, {sum(not act.resume for play in plays for act in play.scenario.acts[1:])}"


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


@contextmanager
def stage(folder: Path, api_url: str, home: Path, *, cold: bool = False) -> Iterator[Stage]:
    """A stage below `folder`, with the server of `home`."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT", "GOOGLE"))}
    with ExitStack() as stack:
        launcher = Cold() if cold else stack.enter_context(Warm(clean | {"PREFECT_HOME": str(folder / "warm")}))
        yield Stage(folder, launcher, api_url, home / "prefect.db")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="Play seeds 0 to N - 1.")
    parser.add_argument("--seed", type=int, action="append", help="Play this one alone; may be given again.")
    parser.add_argument("--at-once", type=int, default=4, help="Scenarios at the same time.")
    parser.add_argument("--cold", action="store_true", help="Start every run as python flows/infer.py.")
    parser.add_argument("--verbose", action="store_true", help="Print the seeds without a fault as well.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    from flows.local_server import LocalServer

    started = time.monotonic()
    plays = []
    with (
        LocalServer() as server,
        stage(folder, server.url or "", folder / "prefect", cold=options.cold) as here,
        ThreadPoolExecutor(options.at_once) as pool,
    ):
        futures = [pool.submit(play, draw(seed), here) for seed in options.seed or range(options.seeds)]
        for future in as_completed(futures):
            plays.append(future.result())
            if plays[-1].faults or options.verbose:
                print(plays[-1].report(), end="\n\n", flush=True)
    print(table(plays))
    print(f"{'time':<36} {time.monotonic() - started:.0f} s, {options.at_once} scenarios at once")
    failed = any(play.faults for play in plays)
    if not failed:
        shutil.rmtree(folder)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
