"""One boot of the local server: where it listens, its password, and the files in PREFECT_HOME that say so.

Must not import Prefect. All files are for their owner only.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

# In PREFECT_HOME. The server's process holds the first lock, each run a share of the second.
SERVER, USERS = "local-server.lock", "local-server.users"
PASSWORD, LOG = "local-server.password", "local-server.log"
HOST = "127.0.0.1"
PROOF = "/local-server/proof/"
_OURS = ("local-server.*", "prefect.db*", "*.toml", "storage")


class LocalServerError(RuntimeError):
    """The server could not be started. The message names its log."""


@dataclass(frozen=True, slots=True)
class Boot:
    """`pid`: the process that has the lock; another one may go on with the rest. `since`: seconds of the epoch."""

    port: int
    password: str
    since: float
    pid: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/api"

    def answers(self, timeout: float = 2.0) -> bool:
        """Whether a server of this boot is ready. Another one, whoever runs it, learns nothing from being asked."""
        challenge = secrets.token_hex(16)
        return bool(self._get(PROOF + challenge, {}, timeout) == self.proof(challenge))

    def proof(self, challenge: str) -> str:
        """What only who has the password can answer; with the port, so that nobody passes on another server's."""
        return hmac.new(self.password.encode(), f"{self.port} {challenge}".encode(), "sha256").hexdigest()

    def ask(self, path: str, body: dict[str, Any]) -> Any:
        """The API's answer, or None without one."""
        return self._get(f"/api{path}", {"Authorization": basic(self.password)}, 10, json.dumps(body))

    def _get(self, path: str, headers: dict[str, str], timeout: float, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout)  # by no proxy
        try:
            connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json", **headers})
            return json.load(connection.getresponse())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def basic(password: str) -> str:
    """The Authorization header that Prefect's clients send for `password`."""
    return f"Basic {base64.b64encode(password.encode()).decode()}"


def read_boot(home: Path) -> Boot | None:
    """What the last one to start a server wrote. Not proved: see `Boot.answers`."""
    with suppress(OSError, ValueError, TypeError):
        if password := (home / PASSWORD).read_text():
            return Boot(password=password, **json.loads((home / SERVER).read_text()))
    return None


def listen(boot: Boot | None) -> socket.socket:
    """From now on who connects is not refused but waits. Raises OSError where the port of `boot` is somebody's."""
    return socket.create_server((HOST, boot.port if boot else 0))


def launch(home: Path, lock: IO[str], listener: socket.socket, last: Boot | None) -> subprocess.Popen[bytes]:
    """Start a server that holds `lock` and `listener`. Runs that have the password of the `last` boot keep it.

    Raises OSError where this machine has no disk or no processes left.
    """
    port: int = listener.getsockname()[1]
    boot = last if last and last.port == port else Boot(port, secrets.token_urlsafe(24), time.time())
    _write_boot(home, lock, replace(boot, pid=0))
    with open(home / LOG, "ab", opener=private) as log:
        process = subprocess.Popen(
            # -P: what lies in the working directory must not stand for libraries
            [sys.executable, "-P", "-m", "flows.local_server.process", str(home), *map(str, _handles(lock, listener))],
            env=_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl+C in the terminal must not reach it
            pass_fds=_handles(lock, listener),
        )
    _write_boot(home, lock, replace(boot, pid=process.pid))
    return process


def _handles(lock: IO[str], listener: socket.socket) -> tuple[int, int]:
    return lock.fileno(), listener.fileno()


def _environment(home: Path) -> dict[str, str]:
    """Without what this run uses: the server would take itself for a configured one."""
    ours = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")
    return {name: value for name, value in os.environ.items() if name not in ours} | {"PREFECT_HOME": str(home)}


def forget(lock: IO[str]) -> None:
    """The boot has ended: nobody is to look for it any more."""
    _write(lock, "")


def forget_the_dead(home: Path) -> None:
    """Where nobody serves and nobody uses a server, the next boot shares nothing with the last one."""
    if users := open_locked(home / USERS):
        with users:
            if server := open_locked(home / SERVER):
                with server:
                    forget(server)


def _write_boot(home: Path, lock: IO[str], boot: Boot) -> None:
    rest = asdict(boot)
    if rest.pop("password") != _read(home / PASSWORD):
        with open(home / PASSWORD, "w", opener=private) as file:  # alone: who signs in to the UI copies it from there
            file.write(boot.password)
    _write(lock, json.dumps(rest))


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def open_locked(path: Path, shared: bool = False) -> IO[str] | None:
    """The file, locked until it is closed or this process is gone, or None if it is taken."""
    file = open(path, "a+", opener=private)  # noqa: SIM115
    if try_lock(file, shared):
        return file
    file.close()
    return None


def try_lock(file: IO[str], shared: bool) -> bool:
    import fcntl  # not on Windows

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def private(path: str, flags: int) -> int:
    """`opener` of files for their owner only."""
    return os.open(path, flags, 0o600)


def tighten(home: Path) -> None:
    """`home` and what Prefect and the local server keep there, for its owner only. Whatever else lies there stays."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in [home, *(found for pattern in _OURS for found in home.glob(pattern))]:
        with suppress(OSError):  # somebody else's, or just gone
            mode = path.stat().st_mode
            if mode & 0o077 and not mode & 0o1000:  # a sticky folder, such as /tmp, is everybody's
                path.chmod(mode & 0o700)
