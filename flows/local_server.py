"""A Prefect server for the length of a run that has none: live UI, complete history.

Prefect's own temporary server dies with Ctrl+C before the run does and is stopped before it has
recorded everything. This one is a process of its own in its own session. Runs that overlap share
it, and it ends by itself once no run uses it and all it was told is in the database. Who uses it
is known by a file lock, which the kernel takes from a killed run as well.

Nothing heavy is imported up here: `start` is meant to run before the program's own imports.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

BOOT_SECONDS = 120.0  # a first boot creates the database: 18 s on 2 cores
HISTORY_SECONDS = 30.0
STOP_SECONDS = 10.0
SERVER, USERS = "local-server.lock", "local-server.users"  # in PREFECT_HOME; the first holds the URL
STATES = (None, ["SCHEDULED", "PENDING"], ["RUNNING", "CANCELLING", "PAUSED"])


class LocalServerError(RuntimeError):
    """The server could not be started. The message names its log."""


class LocalServer:
    """`start()` returns at once; `with server:` waits until it is ready, and stops it at the end.

    Where Prefect's settings name a server (PREFECT_API_URL, a profile, prefect.toml), that one is
    used and nothing is started. Otherwise the settings of this process, and of those it starts,
    name the local one while the block lasts. Its database is that of PREFECT_HOME.
    """

    def __init__(self, boot_seconds: float = BOOT_SECONDS) -> None:
        self.url: str | None = None
        self._boot_seconds = boot_seconds
        self._home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
        self._user_lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ui_url(self) -> str | None:
        return self.url and self.url.removesuffix("/api")

    @property
    def log(self) -> Path:
        return self._home / "local-server.log"

    def start(self) -> Self:
        if not os.environ.get("PREFECT_API_URL") and sys.platform != "win32":  # no file locks there
            self._home.mkdir(parents=True, exist_ok=True)
            self._join()
        return self

    def abandon(self) -> None:
        """Undo `start` where no run follows; the server ends by itself."""
        self._leave()

    def __enter__(self) -> Self:
        from prefect.settings import get_current_settings

        configured = get_current_settings().api.url
        if configured or sys.platform == "win32":
            self.url = configured
            self._leave()
            return self
        self.start()
        self.url = self._wait_until_ready()
        _use_api(self.url)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._user_lock is None:
            return
        try:
            _send_what_is_left()
        finally:
            if self._leave():
                self._wait_until_gone()
            _use_api(None)

    def _join(self) -> None:
        """Become a user of the server and start one, unless the last one is just going."""
        if self._user_lock is None:
            self._user_lock = _open_locked(self._home / USERS, shared=True)
        if self._user_lock and (self._process is None or self._process.poll() is not None):
            self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start a server. It ends at once where another one has the lock."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                # -P: else the modules beside this file could stand for libraries
                [sys.executable, "-P", __file__, str(self._home)],
                env={**os.environ, "PREFECT_HOME": str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C in the terminal must not reach it
            )

    def _wait_until_ready(self) -> str:
        deadline = time.monotonic() + self._boot_seconds
        while not (self._user_lock and (url := self._running_url())):
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {self._boot_seconds:.0f} s")
            time.sleep(0.2)
            if self._process and self._process.poll():
                raise self._failure(f"ended with exit code {self._process.returncode}")
            self._join()
        return url

    def _running_url(self) -> str | None:
        path = self._home / SERVER
        url = path.read_text() if path.exists() else ""
        return url if url and _ask(f"{url}/health") else None

    def _failure(self, what: str) -> LocalServerError:
        self._leave()
        return LocalServerError(
            f"The local Prefect server {what}; its log is {self.log}. "
            "Or start one yourself, `prefect server start`, and set PREFECT_API_URL."
        )

    def _leave(self) -> bool:
        """Stop being a user of the server; True if that was the last one."""
        lock, self._user_lock = self._user_lock, None
        if lock is None:
            return False
        with lock:
            return _try_lock(lock, shared=False)

    def _wait_until_gone(self) -> None:
        """Until the server has let go of its lock: its history is complete, or it gave up on it."""
        deadline = time.monotonic() + HISTORY_SECONDS + 2 * STOP_SECONDS
        while (lock := _open_locked(self._home / SERVER)) is None:
            if time.monotonic() > deadline:
                if self._process:
                    self._process.kill()
                return
            time.sleep(0.1)
        lock.close()
        if self._process:
            self._process.wait(STOP_SECONDS)


def _use_api(url: str | None) -> None:
    from prefect.context import refresh_global_settings_context

    # The environment and not `temporary_settings`: that one is bound to a context variable, which
    # Prefect's background threads and the processes started by a run do not have.
    if url:
        os.environ["PREFECT_API_URL"] = url
    else:
        os.environ.pop("PREFECT_API_URL", None)
    refresh_global_settings_context()


def _send_what_is_left() -> None:
    """Task run states and logs travel in background services; all of them, not this class alone."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(timeout=HISTORY_SECONDS, at_exit=False)


def _open_locked(path: Path, shared: bool = False) -> IO[str] | None:
    """The file, locked until it is closed or this process is gone, or None if it is taken."""
    file = path.open("a+")
    if _try_lock(file, shared):
        return file
    file.close()
    return None


def _try_lock(file: IO[str], shared: bool) -> bool:
    import fcntl  # not on Windows

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of the server, or None without one."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)
    except (OSError, ValueError):
        return None


def _serve(home: Path) -> None:
    """The server's own process."""
    lock = _open_locked(home / SERVER)
    if lock is None:
        return
    lock.truncate(0)
    from prefect.settings import get_current_settings

    if get_current_settings().api.url:  # the run that started this one finds it as well
        return
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    os.environ |= {"PREFECT_UI_API_URL": url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    import uvicorn
    from prefect.context import refresh_global_settings_context
    from prefect.server.api.server import create_app

    refresh_global_settings_context()
    os.ftruncate(sys.stdout.fileno(), 0)  # the log is that of the last server
    server = uvicorn.Server(uvicorn.Config(create_app(final=True), log_level="warning"))

    def supervise() -> None:
        started = datetime.now(UTC)
        while not server.started:
            time.sleep(0.1)
        lock.write(url)
        lock.flush()
        with _when_unused(home):  # From now on no run can join.
            _wait_for_history(url, started)
            server.should_exit = True
            time.sleep(STOP_SECONDS)
            os._exit(1)

    threading.Thread(target=supervise, daemon=True).start()
    server.run(sockets=[listener])
    if not server.started:
        sys.exit("The server did not start.")


def _when_unused(home: Path) -> IO[str]:
    while (lock := _open_locked(home / USERS)) is None:
        time.sleep(0.2)
    return lock


def _count_task_runs(url: str, since: datetime, states: list[str] | None) -> int | None:
    criteria: dict[str, Any] = {"expected_start_time": {"after_": since.isoformat()}}
    if states:
        criteria["state"] = {"type": {"any_": states}}
    count: int | None = _ask(f"{url}/task_runs/count", {"task_runs": criteria})
    return count


def _wait_for_history(url: str, since: datetime) -> None:
    """Until the database stops changing: what was sent still passes through queues in memory.

    A task run without an end gets more time, but not for ever: a killed run leaves some.
    """
    deadline = time.monotonic() + HISTORY_SECONDS
    counts, changed = None, time.monotonic()
    while (now := time.monotonic()) < deadline:
        last, counts = counts, [_count_task_runs(url, since, states) for states in STATES]
        changed = changed if counts == last else now
        if now - changed > (5.0 if counts[1] or counts[2] else 1.0):
            return
        time.sleep(0.2)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
