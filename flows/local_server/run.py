"""What a run does with the local server: joins or starts it, waits for it, leaves it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flows.local_server.boot import (
    LOG,
    PASSWORD,
    SERVER,
    Boot,
    LocalServerError,
    forget_the_dead,
    launch,
    listen,
    open_locked,
    read_boot,
    tighten,
)
from flows.local_server.environment import Environment, past_proxies, use
from flows.local_server.process import HISTORY_SECONDS, STOP_SECONDS
from flows.local_server.users import User, is_used
from flows.local_server.watch import INCOMPLETE, Watch

BOOT_SECONDS = 120.0  # a first boot creates the database: 18 s on 2 cores


class LocalServer:
    """`start()` returns at once; `with server:` waits until it is ready, and leaves it at the end.

    Where Prefect's settings name a server (PREFECT_API_URL, a profile, prefect.toml), that one is
    used and nothing is started. Otherwise the settings of this process, and of those it starts,
    name the local one while the block lasts. Its database is that of PREFECT_HOME.
    `linger_seconds`: for which it stays up after the block.
    """

    def __init__(self, boot_seconds: float = BOOT_SECONDS, linger_seconds: float = 0.0) -> None:
        self.url: str | None = None
        self.is_all_sent = True
        self._boot_seconds, self._linger_seconds = boot_seconds, linger_seconds
        self._home = _home()
        self._user = User(self._home)
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None
        self._replaced: Environment = {}
        self._unsent: Any = None  # hears what Prefect could not send

    @property
    def is_own(self) -> bool:
        """Whether it ends with its users, of which this process is one."""
        return self._watch is not None

    @property
    def greeting(self) -> str:
        """Where the UI is, for how long, and how to get in."""
        ui = (self.url or "").removesuffix("/api")
        if not self.is_own:
            return f"Prefect UI: {ui}"
        return f"Prefect UI, until the end: {ui} (sign in with what is in {self._home / PASSWORD})"

    def start(self) -> Self:
        if not os.environ.get("PREFECT_API_URL") and sys.platform != "win32":  # no file locks there
            tighten(self._home)
            forget_the_dead(self._home)
            self._join()
        return self

    def abandon(self) -> None:
        """Undo `start` where no run follows; the server ends by itself."""
        self._user.leave()

    def __enter__(self) -> Self:
        from prefect.settings import get_current_settings

        configured = get_current_settings().api.url
        if configured or sys.platform == "win32":
            self.url = configured
            self._user.leave()
            return self
        if not self._user.is_one:
            self.start()
        boot = self._wait_until_ready()
        self.url = boot.url
        own: Environment = {"PREFECT_API_URL": boot.url, "PREFECT_API_AUTH_STRING": boot.password}
        self._replaced = use(own | past_proxies())
        self._watch = Watch(self._home, boot)
        self._watch.start()
        self._unsent = _hear_what_is_unsent()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._watch is None:
            return
        try:
            self.is_all_sent = _send_what_is_left()
        finally:
            self._unsent.stop()
            self._watch.stop()
            is_complete = self._leave()
            if not (self._watch.is_lost or (self.is_all_sent and is_complete and not self._unsent.seen)):
                print(INCOMPLETE, file=sys.stderr)
            use(self._replaced)

    def _leave(self) -> bool:
        """False where the server was to end, and did not get to its end."""
        if self._linger_seconds:
            self._user.leave_later(self._linger_seconds)
            return True
        return self._wait_until_gone() if self._user.leave() else True

    def _join(self) -> None:
        """Become a user of the server, unless the last one is just going, and start one where none is."""
        if self._user.join() and (lock := open_locked(self._home / SERVER)):
            last = read_boot(self._home)
            with lock, _listener(last) as listener:
                self._process = launch(self._home, lock, listener, last)

    def _wait_until_ready(self) -> Boot:
        deadline = time.monotonic() + self._boot_seconds
        while not (self._user.is_one and (boot := read_boot(self._home)) and boot.answers()):
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {self._boot_seconds:.0f} s")
            time.sleep(0.2)
            code = self._process.poll() if self._process else 0
            if code and code > 0:  # below 0: killed, so another one may do better
                raise self._failure(f"ended with exit code {code}")
            if code is not None:  # no boot of this run's own is under way
                self._join()
        return boot

    def _failure(self, what: str) -> LocalServerError:
        self._user.leave()
        return LocalServerError(
            f"The local Prefect server {what}; its log is {self._home / LOG}. "
            "Or start one yourself, `prefect server start`, and set PREFECT_API_URL."
        )

    def _wait_until_gone(self) -> bool:
        """Until the server has let go of its lock, or has other users. False where it did not get to its end."""
        deadline = time.monotonic() + HISTORY_SECONDS + 2 * STOP_SECONDS
        while (lock := open_locked(self._home / SERVER)) is None:
            if time.monotonic() > deadline:
                return False
            if is_used(self._home):
                return True
            time.sleep(0.1)
        with lock:
            return read_boot(self._home) is None


def is_local() -> bool:
    """Whether this process uses the local server."""
    boot = read_boot(_home())
    return boot is not None and os.environ.get("PREFECT_API_URL") == boot.url


def _home() -> Path:
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()


def _listener(last: Boot | None) -> socket.socket:
    """On the port of the last boot, whose users may still be there; where somebody else has it, on another one."""
    try:
        return listen(last)
    except OSError:
        return listen(None)


def _hear_what_is_unsent() -> Any:
    from tasks.prefect_internals import Unsent

    unsent = Unsent()
    unsent.start()
    return unsent


def _send_what_is_left() -> bool:
    """False where the server does not take it."""
    from tasks.prefect_internals import send_what_waits

    return send_what_waits(HISTORY_SECONDS)
