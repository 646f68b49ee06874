"""Real processes and a real server. Each start of one costs seconds: few tests, one PREFECT_HOME."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
sys.path.insert(0, os.environ["PROJECT"])
from flows.local_server import LocalServer, LocalServerError
server = LocalServer().start()
import asyncio
from prefect import flow, task
from flows.event_loop import EventLoopTaskRunner

@task
async def chunk(number, seconds):
    await asyncio.sleep(seconds)

@flow(name=sys.argv[1], task_runner=EventLoopTaskRunner(max_workers=8))
def infer(chunks, seconds):
    print("running on", os.environ["PREFECT_API_URL"], flush=True)
    chunk.map(range(chunks), seconds).wait()

try:
    with server:
        infer(int(sys.argv[2]), float(sys.argv[3]))
except KeyboardInterrupt:
    sys.exit(130)
except LocalServerError as error:
    sys.exit(str(error))
"""


class Program:
    """A run in a session of its own, as one in a terminal is."""

    def __init__(self, home: Path, name: str, chunks: int, seconds: float, **env: str) -> None:
        script = home / "program.py"
        script.write_text(PROGRAM)
        self.home = home
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(script), name, str(chunks), str(seconds)],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT")},
                "PREFECT_HOME": str(home),
                "PREFECT_LOGGING_LEVEL": "WARNING",
                "PROJECT": str(Path(__file__).parent.parent),
                **env,
            },
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def url(self) -> str:
        """Wait until its flow runs."""
        assert self.process.stdout
        return self.process.stdout.readline().split()[-1]

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=120)
        return self.process.returncode, errors

    def history(self) -> tuple[list[str], Counter[str]]:
        """States of its flow runs and task runs, as the database has them."""
        with sqlite3.connect(self.home / "prefect.db") as database:
            states = database.execute(
                "SELECT r.state_type FROM flow_run r JOIN flow f ON f.id = r.flow_id WHERE f.name = ?",
                [self.name],
            ).fetchall()
            task_states = database.execute(
                "SELECT t.state_type FROM task_run t JOIN flow_run r ON r.id = t.flow_run_id"
                " JOIN flow f ON f.id = r.flow_id WHERE f.name = ?",
                [self.name],
            ).fetchall()
        return [state for (state,) in states], Counter(state for (state,) in task_states)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture
def run(home: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*arguments: object, **env: str) -> Program:
        programs.append(Program(home, *arguments, **env))  # type: ignore[arg-type]
        return programs[-1]

    yield start
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()


def is_served(home: Path) -> bool:
    """A server holds its lock until the very end of its process."""
    from flows.local_server import SERVER, _open_locked

    if lock := _open_locked(home / SERVER):
        lock.close()
    return lock is None


def test_every_task_run_is_in_the_database_when_the_program_ends(home: Path, run: Callable[..., Program]) -> None:
    """60 of 60, nothing on the terminal, and no server is left."""
    program = run("complete", 60, 0.05)
    assert program.end() == (0, "")
    assert program.history() == (["COMPLETED"], {"COMPLETED": 60})
    assert not is_served(home)


def test_ctrl_c_ends_every_started_task_run_and_is_recorded(home: Path, run: Callable[..., Program]) -> None:
    """SIGINT to the whole process group, as a terminal sends it, does not reach the server."""
    program = run("interrupted", 60, 600)
    program.url()
    time.sleep(1.5)
    os.killpg(program.process.pid, signal.SIGINT)
    code, errors = program.end()
    assert code == 130
    assert "Traceback" not in errors
    assert program.history() == (["CRASHED"], {"CRASHED": 8})
    assert not is_served(home)


def test_two_runs_share_a_server_that_outlives_the_first_and_a_killed_one(
    home: Path, run: Callable[..., Program]
) -> None:
    """The second run goes on when the first has ended; a kill -9 of the last one ends the server."""
    first = run("first", 8, 0.1)
    second = run("second", 8, 600)
    assert first.url() == second.url()
    assert first.end() == (0, "")
    assert first.history() == (["COMPLETED"], {"COMPLETED": 8})
    assert is_served(home)
    second.process.kill()
    deadline = time.monotonic() + 20
    while is_served(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_served(home)


def test_a_configured_server_is_used_and_none_started(home: Path, run: Callable[..., Program]) -> None:
    """A URL in a settings file counts like the environment variable; here nobody listens at it."""
    (home / "prefect.toml").write_text('[api]\nurl = "http://127.0.0.1:9/api"\n')
    try:
        program = run("configured", 1, 0)
        code, errors = program.end()
    finally:
        (home / "prefect.toml").unlink()
    assert code == 1
    assert "127.0.0.1:9" in errors
    assert not is_served(home)


def test_a_server_that_cannot_start_is_one_line_with_its_log(home: Path, run: Callable[..., Program]) -> None:
    """The message names the log, and the log the cause."""
    program = run("broken", 1, 0, PREFECT_SERVER_DATABASE_CONNECTION_URL="sqlite+aiosqlite:////no/such/db")
    code, errors = program.end()
    assert code == 1
    assert errors.startswith("The local Prefect server ended with exit code")
    assert errors.count("\n") == 1
    log = home / "local-server.log"
    assert str(log) in errors
    assert "unable to open database file" in log.read_text()
