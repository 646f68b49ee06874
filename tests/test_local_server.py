"""Real processes and a real server. Each start of one costs seconds: few tests, one PREFECT_HOME."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil
import pytest
from prefect.context import refresh_global_settings_context
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from flows.local_server import LocalServer, LocalServerError
from flows.local_server.boot import (
    LOG,
    PASSWORD,
    SERVER,
    USERS,
    Boot,
    forget_the_dead,
    launch,
    open_locked,
    read_boot,
    tighten,
)
from flows.local_server.run import _listener
from flows.local_server.watch import LOST, REPLACED, Watch, end_holder
from tests.support import NO_BLOCKS

PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
sys.path.insert(0, os.environ["PROJECT"])
from flows.local_server import LocalServer, LocalServerError
server = LocalServer().start()
import asyncio
from prefect import flow, task
from flows.runners.event_loop import EventLoopTaskRunner

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
        self.home = home
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(home / "program.py"), name, str(chunks), str(seconds)],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("PREFECT")},
                "PREFECT_HOME": str(home),
                "PREFECT_LOGGING_LEVEL": "WARNING",
                **NO_BLOCKS,
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
        line = self.process.stdout.readline()
        assert line.startswith("running on"), self.end()
        return line.split()[-1]

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
def home(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    folder = tmp_path_factory.mktemp("prefect")
    shutil.copy(empty_database, folder / "prefect.db")
    (folder / "program.py").write_text(PROGRAM)  # once: another run may be about to read it
    return folder


@pytest.fixture
def run(home: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*arguments: object, **env: str) -> Program:
        programs.append(Program(home, *arguments, **env))  # type: ignore[arg-type]
        return programs[-1]

    yield start
    for program in programs:
        program.process.kill()
        program.process.communicate()


def is_served(home: Path) -> bool:
    """A server holds its lock as long as it serves."""
    if lock := open_locked(home / SERVER):
        lock.close()
    return lock is None


def servers(home: Path) -> list[int]:
    """Processes of local servers of `home`, booting ones too."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = process.cmdline()
            if "flows.local_server.process" in line and str(home) in line:
                found.append(process.pid)
    return found


def booted(home: Path) -> int:
    """The process id of the server that has just been started."""
    deadline = time.monotonic() + 60
    while not ((boot := read_boot(home)) and boot.pid):
        assert time.monotonic() < deadline, "no server was started"
        time.sleep(0.01)
    return boot.pid


def test_every_task_run_is_in_the_database_when_the_program_ends(home: Path, run: Callable[..., Program]) -> None:
    """60 of 60, nothing on the terminal, no server is left. Neither a kill in its boot nor the user's proxy matters."""
    program = run("complete", 60, 0.05, HTTP_PROXY="http://127.0.0.1:9")
    os.kill(booted(home), signal.SIGKILL)
    assert program.end() == (0, "")
    assert program.history() == (["COMPLETED"], {"COMPLETED": 60})
    assert not is_served(home)
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir() if path.name != "program.py"}
    assert {"prefect.db", "local-server.password", "local-server.lock", "local-server.log"} <= modes.keys()
    assert set(modes.values()) <= {0o600, 0o700}, modes


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


def test_two_runs_share_a_server_and_outlive_it_and_it_outlives_them(home: Path, run: Callable[..., Program]) -> None:
    """kill -9 of the server: one new one in its place, a line, a complete history; of the last run: the server ends."""
    first, second = run("first", 24, 1.0), run("second", 8, 600)
    assert first.url() == second.url()
    last = read_boot(home)
    assert last
    os.kill(last.pid, signal.SIGKILL)
    assert booted_again(home, last).url == last.url
    assert len(servers(home)) == 1
    assert first.end() == (0, f"{REPLACED}\n")
    assert is_served(home)
    second.process.kill()
    assert second.process.stderr
    assert second.process.stderr.read() == f"{REPLACED}\n"
    deadline = time.monotonic() + 20
    while is_served(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not is_served(home)
    assert first.history() == (["COMPLETED"], {"COMPLETED": 24})


@pytest.mark.parametrize("needs_seconds", [3, 99])
def test_a_run_that_ends_leaves_a_slow_new_server_to_others_and_ends_a_dead_one(
    tmp_path: Path, needs_seconds: float
) -> None:
    """Both runs above saw the server gone; the one that has started the new one is at its end first."""

    class Slow(Boot):
        def answers(self, timeout: float = 1.0) -> bool:
            return timeout >= needs_seconds

    watch = Watch(tmp_path, Slow(0, "", 0))
    watch._done.set()
    with subprocess.Popen(["sleep", "60"]) as process:
        assert watch._is_ready(process, time.monotonic() + 60) == (needs_seconds == 3)
        assert (process.poll() is None) == (needs_seconds == 3)
        process.kill()


def booted_again(home: Path, last: Boot) -> Boot:
    deadline = time.monotonic() + 60
    while (boot := read_boot(home)) is None or boot.pid in (0, last.pid):
        assert time.monotonic() < deadline, "no server was started again"
        time.sleep(0.05)
    return boot


def test_where_no_server_can_be_had_a_run_ends_without_one(home: Path, run: Callable[..., Program]) -> None:
    """It is killed and can't start again: one line, all chunks run, and the program ends as if nothing had happened."""
    program = run("alone", 24, 1.0)
    program.url()
    (home / "prefect.toml").write_text('[server.database]\nconnection_url = "sqlite+aiosqlite:////no/such/db"\n')
    try:
        os.kill(booted(home), signal.SIGKILL)
        assert program.end() == (0, LOST.format(log=home / "local-server.log") + "\n")
    finally:
        (home / "prefect.toml").unlink()
    assert servers(home) == []


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


@pytest.fixture
def boot(prefect: None) -> Boot:
    """The local server that the tests share."""
    return Boot(urlsplit(os.environ["PREFECT_API_URL"]).port or 0, os.environ["PREFECT_API_AUTH_STRING"], 0)


def get(boot: Boot, path: str, method: str = "GET", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", boot.port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, "{}" if method == "POST" else None, {"Content-Type": "application/json", **given})
    status = connection.getresponse().status
    connection.close()
    return status


def authorization(password: str) -> str:
    return "Basic " + base64.b64encode(password.encode()).decode()


def test_without_the_password_the_api_says_nothing_but_that_it_is_there(boot: Boot) -> None:
    """No data, no schema, no database's state; with the password all of it, and the UI's files for everybody."""
    paths = [
        "/api/ready",
        "/api/admin/settings",
        "/api/openapi.json",
        "/api/docs",
        "/api/nowhere",
        "/api",
        "/api/health/",
    ]
    for wrong in ({}, {"Authorization": authorization("wrong")}, {"Authorization": f"Bearer {boot.password}"}):
        assert {get(boot, path, **wrong) for path in paths} == {401}
        assert get(boot, "/api/flow_runs/filter", "POST", **wrong) == 401
    assert get(boot, "/api/flow_runs/filter", "POST", Authorization=authorization(boot.password)) == 200
    assert [get(boot, path) for path in ("/api/health", "/", "/ui-settings")] == [200, 200, 200]


def test_a_page_of_another_origin_gets_nothing(boot: Boot) -> None:
    """Not by another name for this address, not by a request, not by an image or a frame; a link may be followed."""
    own, password = f"http://127.0.0.1:{boot.port}", {"Authorization": authorization(boot.password)}
    foreign = [
        {"Host": f"evil.test:{boot.port}"},
        {"Host": f"127.0.0.1.evil.test:{boot.port}"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "iframe"},
    ]
    for headers in foreign:
        statuses = {get(boot, path, **headers, **password) for path in ("/", "/api/health", "/api/admin/version")}
        assert statuses == {403}, headers
    for headers in ({"Origin": own}, {"Host": f"localhost:{boot.port}"}, {"Sec_Fetch_Site": "same-origin"}):
        assert get(boot, "/api/admin/version", **headers, **password) == 200
    assert get(boot, "/v2/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document") == 200


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out", "/task_runs/subscriptions/scheduled"])
def test_a_web_socket_needs_the_password_and_the_own_origin(boot: Boot, path: str) -> None:
    """Without, it is closed before a message has come; with it, the server answers."""
    url, prefect = boot.url.replace("http", "ws") + path, [Subprotocol("prefect")]
    with pytest.raises(InvalidStatus, match="403"):
        connect(url)
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, subprotocols=prefect, origin=Origin("http://evil.test"))
    for first in ({"type": "auth", "token": "wrong"}, {"type": "auth", "token": None}, {"type": "filter"}):
        with connect(url, subprotocols=prefect) as socket:
            socket.send(json.dumps(first))
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=10)
    with connect(url, subprotocols=prefect) as socket:
        socket.send(json.dumps({"type": "auth", "token": boot.password}))
        assert json.loads(socket.recv(timeout=10)) == {"type": "auth_success"}


class Liar(BaseHTTPRequestHandler):
    """A server of somebody else, at a port that a dead one of ours had; it says yes to everything."""

    heard: list[Any] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.heard.append(dict(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.path.split("/")[-1]).encode())

    def log_message(self, *_: object) -> None:
        pass


def test_another_server_at_the_old_place_is_not_believed_and_learns_nothing(tmp_path: Path) -> None:
    """It can't prove that it knows the password, which it is not told; the next boot gets another port and password."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as liar:
        threading.Thread(target=liar.serve_forever, daemon=True).start()
        stale = Boot(liar.server_port, "secret", 0)
        leave_boot(tmp_path, stale)
        assert not stale.answers()
        with locked(tmp_path / SERVER) as lock, _listener(stale) as listener:
            process = launch(tmp_path, lock, listener, stale)
            process.kill()
            process.wait()
        liar.shutdown()
    assert len(Liar.heard) == 1
    assert not any("secret" in str(value) or base64.b64encode(b"secret").decode() in value for value in Liar.heard)
    fresh = read_boot(tmp_path)
    assert fresh
    assert fresh.port != stale.port
    assert fresh.password != stale.password


def leave_boot(home: Path, boot: Boot) -> None:
    (home / PASSWORD).write_text(boot.password)
    (home / SERVER).write_text(json.dumps({"port": boot.port, "since": boot.since, "pid": boot.pid}))


def locked(path: Path, shared: bool = False) -> IO[str]:
    lock = open_locked(path, shared)
    assert lock
    return lock


def test_a_boot_that_nobody_uses_or_serves_is_forgotten_and_one_in_use_is_not(tmp_path: Path) -> None:
    """The next one shares no password with it; where a run still waits for its server, it does."""
    boot = Boot(1, "secret", 0, 1)
    leave_boot(tmp_path, boot)
    for lock, shared in ((USERS, True), (SERVER, False)):
        with locked(tmp_path / lock, shared):
            forget_the_dead(tmp_path)
            assert read_boot(tmp_path) == boot
    forget_the_dead(tmp_path)
    assert read_boot(tmp_path) is None


def test_while_somebody_has_the_lock_no_server_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to answer: the run gives up with one line and has started no process."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    refresh_global_settings_context()
    with locked(tmp_path / SERVER), pytest.raises(LocalServerError, match="was not ready after 1 s"), LocalServer(1.0):
        pass
    assert servers(tmp_path) == []
    assert not (tmp_path / LOG).exists()


def test_only_the_process_that_has_the_lock_is_ended(tmp_path: Path) -> None:
    """A server that is silent is; the one that a stale file names, whatever became of its number, is not."""
    program = "import sys, fcntl, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True)"
    holder, other = (
        subprocess.Popen([sys.executable, "-c", f"{program}; time.sleep(99)", str(path)], stdout=subprocess.PIPE)
        for path in (tmp_path / SERVER, tmp_path / "another")
    )
    try:
        for process in (holder, other):
            assert process.stdout
            process.stdout.readline()
        leave_boot(tmp_path, stale := Boot(1, "secret", 0, other.pid))
        end_holder(tmp_path, replace(stale, port=2))
        assert other.poll() is None
        leave_boot(tmp_path, boot := Boot(1, "secret", 0, holder.pid))
        end_holder(tmp_path, stale)
        end_holder(tmp_path, boot)
        assert holder.wait(10) == -signal.SIGKILL
        leave_boot(tmp_path, stale)
        end_holder(tmp_path, stale)
        assert other.poll() is None
    finally:
        for process in (holder, other):
            process.kill()
            process.communicate()


def test_the_last_run_leaves_a_server_alone_that_another_run_has_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its last user's going and its own end a server may be joined; until then it is waited for."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    leave_boot(tmp_path, Boot(1, "secret", 0, 1))
    server = LocalServer()
    with locked(tmp_path / SERVER), locked(tmp_path / USERS, shared=True):
        assert server._wait_until_gone()
    assert not server._wait_until_gone()  # it is gone now, but did not get to its end


def test_what_lies_in_prefects_home_is_its_owners_only(tmp_path: Path) -> None:
    """Also what earlier versions left open; what is not Prefect's stays as it is."""
    (tmp_path / "storage").mkdir(0o755)
    for name in ("prefect.db", "prefect.db-wal", "local-server.log", "mine"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)  # whatever the umask
    tmp_path.chmod(0o755)
    tighten(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.pop("mine") == 0o644
    assert modes.pop("storage") == tmp_path.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
