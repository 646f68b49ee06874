"""Real runs in real processes, killed and interrupted at random moments, then resumed.

The emulator counts every answer it gives, so paying twice shows. More seeds: `KILL_SEEDS=20`.
"""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from deployments.emulator import BatchFault, Emulator, FaultKind, LogNormal, answer_to
from tasks.core.environment.open_files import RESERVED
from tests.chaos_processes import Launcher, Process, Warm
from tests.middlemen import Middleman, http, place_of, serving
from tests.support import CSV, MODEL, numbered, read_csv, write_jsonl
from tests.terminal import Terminal

SEEDS = range(int(os.environ.get("KILL_SEEDS", "1")))
INFER = Path(__file__).parent.parent / "flows" / "infer.py"
ROWS, SAVE_EVERY, MAX_CONCURRENT = 120, 5, 8


@dataclass
class Command:
    """`python flows/infer.py` in a folder of its own, against `emulator`; see chaos_warm.py for how it starts."""

    folder: Path
    emulator: Emulator
    launcher: Launcher
    environment: dict[str, str] = field(default_factory=dict)
    started: int = 0

    def start(self, *flags: str, output: Path | None = None) -> Process:
        self.started += 1
        process = self.launcher.start(
            ["--max-concurrent", str(MAX_CONCURRENT), *flags],
            self.folder,
            os.environ | {"GOOGLE_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": self.emulator.url} | self.environment,
            output or self.folder / f"output-{self.started}.txt",
        )
        process.wait_until_started()
        return process

    def run(self, *flags: str) -> tuple[int, str]:
        return end_of(self.start(*flags))


def end_of(process: Process) -> tuple[int, str]:
    """Exit code and output."""
    return process.ended.result(120), process.text()


@pytest.fixture(scope="module")
def launcher(prefect: None) -> Iterator[Launcher]:
    with Warm(os.environ) as warm:
        yield warm


@pytest.fixture
def command(prefect: None, launcher: Launcher, tmp_path: Path) -> Iterator[Command]:
    with Emulator(latency=LogNormal(0.15, 0.6)).in_thread() as emulator:
        home = str(tmp_path / "prefect")
        environment = {"PREFECT_HOME": home, "PREFECT_API_URL": PREFECT_API_URL.value() or ""}
        yield Command(tmp_path, emulator, launcher, environment)


def wait_for_answers(emulator: Emulator, count: int) -> None:
    deadline = time.monotonic() + 150
    while emulator.stats.answers < count:
        assert time.monotonic() < deadline, "the run does not answer"
        time.sleep(0.005)


def paid_twice(emulator: Emulator) -> int:
    return emulator.stats.answers - emulator.stats.distinct_answered


def assert_undisturbed(command: Command, rows: list[dict[str, str]]) -> None:
    """The CSV is that of a run that nothing has happened to."""
    lines = read_csv(command.folder / CSV)
    assert [(line["id"], line["response"]) for line in lines] == [
        (row["id"], answer_to(row["input_query"])) for row in rows
    ]
    assert {line["status"] for line in lines} == {"success"}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_interrupted_run_keeps_every_answer(command: Command, seed: int) -> None:
    """Ctrl+C in the terminal (the whole process group hears it): prompt back, nothing paid for twice."""
    chance = random.Random(seed)
    rows = numbered(ROWS)
    data = write_jsonl(command.folder / "d.jsonl", rows)
    process = command.start("--dataset", data, "--save-every", str(SAVE_EVERY))
    wait_for_answers(command.emulator, chance.randint(1, ROWS // 2))
    process.send_to_group(signal.SIGINT)
    code, output = end_of(process)

    assert code == 130, output
    assert "Traceback" not in output
    assert re.search(r"rows are saved; continue with: \S+ \S+/flows/infer.py --dataset", output.splitlines()[-1])
    code, output = command.run("--dataset", data, "--save-every", str(1 + chance.randrange(30)), "--resume")
    assert code == 0, output
    assert_undisturbed(command, rows)
    assert paid_twice(command.emulator) == 0


def test_a_batch_job_whose_run_is_killed_in_the_middle_of_its_create_is_found_and_not_made_again(
    command: Command,
) -> None:
    """kill -9, while the API has made the job and not answered yet."""
    rows, batches = numbered(ROWS), command.emulator.batches
    flags = ("--dataset", write_jsonl(command.folder / "d.jsonl", rows), "--mode", "batch")
    batches.faults.set([BatchFault(FaultKind.CREATE_SLOW, seconds=60)])
    process = command.start(*flags)
    deadline = time.monotonic() + 150
    while not batches.all():
        assert time.monotonic() < deadline, "the run makes no batch job"
        time.sleep(0.01)
    process.send(signal.SIGKILL)
    assert end_of(process)[0] == -signal.SIGKILL
    code, output = command.run(*flags, "--resume")
    assert code == 0, output
    assert_undisturbed(command, rows)
    assert (batches.calls["create"], len(batches.all()), paid_twice(command.emulator)) == (1, 1, 0)


def test_sigterm_is_an_interruption_too(command: Command) -> None:
    """What a supervisor sends: answers kept, exit code 130, an earlier CSV left alone."""
    data = write_jsonl(command.folder / "d.jsonl", numbered(ROWS))
    result = command.folder / CSV
    result.parent.mkdir()
    result.write_text("an earlier result")
    process = command.start("--dataset", data)
    wait_for_answers(command.emulator, 10)
    process.send(signal.SIGTERM)
    code, output = end_of(process)
    assert code == 130, output
    assert result.read_text() == "an earlier result"


def test_a_signal_that_comes_twice_within_a_second_is_one_and_a_later_one_leaves_at_once(command: Command) -> None:
    """A supervisor signals the group and `uv run` passes it on; who presses again does not want to wait.

    On a terminal, where nothing of the display and no `^C` stays.
    """
    command.emulator.set_latency(LogNormal(1000, 0.1))
    data = write_jsonl(command.folder / "d.jsonl", numbered(ROWS))
    command.environment |= {"TERM": "xterm", "COLUMNS": "80"}
    with Terminal(80) as terminal:
        process = command.start("--dataset", data, "--grace-seconds", "600", output=Path(terminal.path))
        deadline = time.monotonic() + 150
        while "8 of 8 requests in flight" not in terminal.text and time.monotonic() < deadline:
            time.sleep(0.01)
        terminal.press_ctrl_c()
        process.send(signal.SIGTERM)
        time.sleep(0.3)
        process.send(signal.SIGINT)
        time.sleep(1.5)
        assert process.alive
        terminal.press_ctrl_c()
        assert process.ended.result(120) == 130, terminal.text
        shown = terminal.screen().lines
    assert "Traceback" not in terminal.text
    [stopping] = [line[line.index("stopping") :] for line in shown if "warning: stopping" in line]
    assert stopping.startswith("stopping: 8 answers on their way, at most 600 s; Ctrl+C")
    assert shown[-1] == "Left at once; answers that are saved are kept; --resume continues."
    assert not [line for line in shown if "^C" in line or "in flight" in line or "━" in line], shown


def test_a_second_run_of_a_job_is_told_who_is_at_work_and_pays_for_nothing(command: Command) -> None:
    """Exit code 2; who only reads is not kept out."""
    command.emulator.set_latency(LogNormal(1000, 0.1))
    data = write_jsonl(command.folder / "d.jsonl", numbered(ROWS))
    first = command.start("--dataset", data)
    deadline = time.monotonic() + 150
    while command.emulator.stats.in_flight < MAX_CONCURRENT and time.monotonic() < deadline:
        time.sleep(0.01)
    code, output = command.run("--dataset", data, "--resume")
    assert code == 2
    assert "another run is at work on this data set, split and model: flow run " in output
    assert f"process {first.pid} on " in output
    assert "Traceback" not in output
    assert command.emulator.stats.requests == MAX_CONCURRENT
    looked = subprocess.run(
        [sys.executable, str(INFER.with_name("checkpoints.py"))],
        cwd=command.folder,
        env=os.environ | command.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"{data} test, {MODEL}" in looked.stdout, looked.stderr
    first.send(signal.SIGKILL)
    first.ended.result(60)


def test_a_run_goes_through_the_proxy_and_what_stays_on_this_machine_does_not(command: Command) -> None:
    """The API under a name that only the proxy knows; a SOCKS proxy that is gone would break Prefect's client."""
    data = write_jsonl(command.folder / "d.jsonl", rows := numbered(20))
    with serving(proxy := Middleman(place_of(command.emulator.url), http)):
        command.environment |= {
            "GOOGLE_GEMINI_BASE_URL": "http://gemini.example",
            "http_proxy": f"127.0.0.1:{proxy.port}",
            "ALL_PROXY": "socks5://127.0.0.1:9",
        }
        code, output = command.run("--dataset", data)
    assert code == 0, output
    assert output.startswith(f"Starting: {data} (test), {MODEL}\n")
    assert_undisturbed(command, rows)
    assert set(proxy.asked) == {"gemini.example"}


def test_more_requests_than_files_may_be_open_are_not_in_flight_at_once(command: Command) -> None:
    """It is told, and the run goes on with fewer; where only the soft limit is low, it is raised."""
    data = write_jsonl(command.folder / "d.jsonl", rows := numbered(300))
    command.emulator.set_latency(LogNormal(0.5, 0.1))
    process = command.start("--dataset", data, "--max-concurrent", "200")
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, RESERVED + 20))
    code, output = end_of(process)
    assert code == 0, output
    assert "--max-concurrent 200: the limit on open files (ulimit -n) has room for 20 requests in flight" in output
    assert command.emulator.stats.peak_in_flight == 20
    assert_undisturbed(command, rows)


def test_the_demo_needs_nothing(tmp_path: Path) -> None:
    """No key, no network, no server, whatever proxies are named: twelve rows, one blocked, one with a broken image."""
    dead_proxies = {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "nonsense://",
        "all_proxy": "socks://127.0.0.1:9",
    }
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE", "GEMINI", "PREFECT"))}
    done = subprocess.run(
        [sys.executable, str(INFER), "--demo", "--model", "gemini-2.5-pro"],
        cwd=tmp_path,
        env=bare | {"PREFECT_HOME": str(tmp_path / "prefect")} | dead_proxies,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "not to Google" not in done.stderr
    assert "gemini-2.5-pro_test_result.csv" in done.stdout
    lines = read_csv(tmp_path / "result" / "demo" / "gemini-2.5-pro_test_result.csv")
    assert len(lines) == 12
    assert [line["status"] for line in lines].count("error") == 1
    open_to_others = [path for path in (tmp_path / "prefect").rglob("*") if path.stat().st_mode & 0o077]
    assert open_to_others == []
