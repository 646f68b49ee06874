"""The local server's own process: serves until no run uses it and its database has all it was told."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from flows.importing import kept_for_good
from flows.local_server.boot import USERS, Boot, forget, open_locked, read_boot

HISTORY_SECONDS = 30.0
STOP_SECONDS = 10.0
STATES = (None, ["SCHEDULED", "PENDING"], ["RUNNING", "CANCELLING", "PAUSED"])


def serve(home: Path, lock: IO[str], listener: socket.socket) -> None:
    """`lock` and `listener` are this process's from its start: see `boot.launch`."""
    for handle in (lock.fileno(), listener.fileno()):
        os.set_inheritable(handle, False)
    with kept_for_good():
        from prefect.settings import get_current_settings

        if get_current_settings().api.url:  # the run that started this one finds it as well
            return
        boot = read_boot(home)
        assert boot  # whoever started this process has written it
        server = _server(boot)

    def supervise() -> None:
        while not server.started:
            time.sleep(0.1)
        with _when_unused(home):  # From now on no run can join.
            _wait_for_history(boot)
            server.should_exit = True
            time.sleep(STOP_SECONDS)
            os._exit(1)

    threading.Thread(target=supervise, daemon=True).start()
    server.run(sockets=[listener])
    if not server.started:
        sys.exit("The server did not start.")
    forget(lock)


def _server(boot: Boot) -> Any:
    os.environ |= {
        "PREFECT_UI_API_URL": "/api",  # of whichever name the browser knows it by
        "PREFECT_SERVER_API_AUTH_STRING": boot.password,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    import uvicorn
    from prefect.context import refresh_global_settings_context
    from prefect.server.api.server import create_app

    from flows.local_server.guard import Guard

    refresh_global_settings_context()
    os.ftruncate(sys.stdout.fileno(), 0)  # the log is that of the last server
    os.umask(0o022)
    app = create_app(final=True)  # copies the UI's files to where Prefect is installed, for all who use that
    os.umask(0o077)
    return uvicorn.Server(uvicorn.Config(Guard(app, boot), log_level="warning"))


def _when_unused(home: Path) -> IO[str]:
    while (lock := open_locked(home / USERS)) is None:
        time.sleep(0.2)
    return lock


def _count_task_runs(boot: Boot, states: list[str] | None) -> int | None:
    since = datetime.fromtimestamp(boot.since, UTC).isoformat()
    criteria: dict[str, Any] = {"expected_start_time": {"after_": since}}
    if states:
        criteria["state"] = {"type": {"any_": states}}
    count: int | None = boot.ask("/task_runs/count", {"task_runs": criteria})
    return count


def _wait_for_history(boot: Boot) -> None:
    """Until the database stops changing: what was sent still passes through queues in memory.

    A task run without an end gets more time, but not for ever: a killed run leaves some.
    """
    deadline = time.monotonic() + HISTORY_SECONDS
    counts, changed = None, time.monotonic()
    while (now := time.monotonic()) < deadline:
        last, counts = counts, [_count_task_runs(boot, states) for states in STATES]
        changed = changed if counts == last else now
        if now - changed > (5.0 if counts[1] or counts[2] else 1.0):
            return
        time.sleep(0.2)


if __name__ == "__main__":
    home, lock, listener = sys.argv[1:]
    serve(Path(home), os.fdopen(int(lock), "a+"), socket.socket(fileno=int(listener)))
