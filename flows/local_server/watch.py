"""Looks after the local server while a run goes on: the run outlives it.

Sending never waits for the server, but Prefect's clients do: each call repeats itself for a minute, each event for 7 s.
So a server that is gone is replaced at its port, and its callers wait in the new one's queue meanwhile. Where none can
be had, something that says yes to everything takes its place, and the run ends as it would have, unrecorded.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from flows.local_server.boot import LOG, SERVER, Boot, forget, launch, listen, open_locked, read_boot

LOOK_SECONDS = 0.5
ASK_SECONDS = 5.0
SILENT_ASKS = 6  # so many without an answer, and the server counts as dead
BOOTS, BOOTS_SECONDS = 2, 45.0  # Prefect's clients give up after a minute
REPLACED = "The local Prefect server was gone; a new one runs."
INCOMPLETE = "Prefect's history of this run is incomplete; its results are not affected."
LOST = f"The local Prefect server is gone and no new one starts; its log is {{log}}. {INCOMPLETE}"


class Watch:
    """A thread from `start` to `stop`. `is_lost`: there is no server any more."""

    def __init__(self, home: Path, boot: Boot) -> None:
        self._home = home
        self._boot = boot
        self._done = threading.Event()
        self._unanswered = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._look_after, name="local-server", daemon=True)
        self.is_lost = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _look_after(self) -> None:
        asked = time.monotonic()
        while not self._done.wait(LOOK_SECONDS):
            if lock := open_locked(self._home / SERVER):
                with lock:
                    self._replace(lock)
            elif time.monotonic() - asked > ASK_SECONDS:
                asked = time.monotonic()
                self._ask()
            self._tell_if_replaced()
        self._tell_if_replaced(at_the_end=True)  # a run may have waited for nothing but that

    def _replace(self, lock: IO[str]) -> None:
        """Of the runs that see a server gone, only the one with its lock gets here."""
        if self._boot.answers():  # another run stands in
            self._tell_that_it_is_lost()
            return
        with suppress(OSError), listen(self._boot) as listener:  # somebody may have the port just now
            if not self._restart(lock, listener) and not self._done.is_set():
                forget(lock)
                lock.close()
                self._stand_in(listener)

    def _restart(self, lock: IO[str], listener: socket.socket) -> bool:
        deadline = time.monotonic() + BOOTS_SECONDS
        for _ in range(BOOTS):
            with suppress(OSError):
                self._process = launch(self._home, lock, listener, self._boot)
                if self._is_ready(self._process, deadline):
                    return True
        return False

    def _is_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        while process.poll() is None:
            ends = self._done.is_set()
            # It may serve others, and be slow: a run that has just ended by it must not take it from them.
            if self._boot.answers(ASK_SECONDS if ends else LOOK_SECONDS):
                return True
            if ends or time.monotonic() > deadline:
                process.kill()
                process.wait()
        return False

    def _stand_in(self, listener: socket.socket) -> None:
        from flows.local_server.stand_in import stand_in

        self._tell_that_it_is_lost()
        stand_in(listener, self._boot, self._done)

    def _ask(self) -> None:
        self._unanswered = 0 if self._boot.answers(ASK_SECONDS) else self._unanswered + 1
        if self._unanswered < SILENT_ASKS:
            return
        self._unanswered = 0
        if (holder := read_boot(self._home)) and holder.port == self._boot.port:
            end_holder(self._home, holder)
            return
        with suppress(OSError), listen(self._boot) as listener:  # a later one has started elsewhere
            self._stand_in(listener)

    def _tell_if_replaced(self, at_the_end: bool = False) -> None:
        """A run that has ended was served by it, however slow it is just now."""
        boot = read_boot(self._home)
        if not boot or boot.port != self._boot.port or boot.pid in (0, self._boot.pid) or self.is_lost:
            return
        if at_the_end or boot.answers(ASK_SECONDS):
            self._boot = boot
            print(REPLACED, file=sys.stderr, flush=True)

    def _tell_that_it_is_lost(self) -> None:
        if not self.is_lost:
            self.is_lost = True
            print(LOST.format(log=self._home / LOG), file=sys.stderr, flush=True)


def end_holder(home: Path, boot: Boot) -> None:
    """Kill the process of `boot` where it has the server's lock: it is held by handle while that is made sure."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        handle = os.pidfd_open(boot.pid)
        try:
            if (lock := open_locked(home / SERVER)) is not None:
                lock.close()
            elif read_boot(home) == boot:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
