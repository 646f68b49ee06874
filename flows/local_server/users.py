"""Who uses the local server: a run, for as long as it has its share of one lock."""

import threading
from pathlib import Path
from typing import IO

from flows.local_server.boot import USERS, open_locked, try_lock


class User:
    """A run, as a user of the server in `home`."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock: IO[str] | None = None

    @property
    def is_one(self) -> bool:
        return self._lock is not None

    def join(self) -> bool:
        """Become a user, or remain one; False while the server of the last one is just going."""
        if self._lock is None:
            self._lock = open_locked(self._home / USERS, shared=True)
        return self.is_one

    def leave(self) -> bool:
        """Stop being a user; True if that was the last one."""
        lock, self._lock = self._lock, None
        if lock is None:
            return False
        with lock:
            return try_lock(lock, shared=False)

    def leave_later(self, seconds: float) -> None:
        """Remain one for a while, or until this process ends: whoever runs again finds the server."""
        timer = threading.Timer(seconds, self.leave)
        timer.daemon = True
        timer.start()


def is_used(home: Path) -> bool:
    """Whether another run has joined. A server that is going has the users' lock for itself."""
    lock = open_locked(home / USERS, shared=True)
    if lock is None:
        return False
    with lock:
        return not try_lock(lock, shared=False)
