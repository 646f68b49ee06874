"""Runs as processes that can be signalled and killed for real: `python flows/infer.py`, or a warm fork of it.

Knows nothing of scenarios. Ends nothing but what it started.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol, Self

from tests.chaos_warm import INFER, PROJECT


@dataclass
class Process:
    """A run. `ended` gets its exit code; -9 is a kill."""

    output: Path
    started: Future[int] = field(default_factory=Future)
    ended: Future[int] = field(default_factory=Future)

    @property
    def pid(self) -> int:
        return self.started.result(60)  # the first one waits for the imports

    def wait_until_started(self) -> None:
        assert self.pid

    @property
    def alive(self) -> bool:
        return not self.ended.done()

    def send(self, number: signal.Signals) -> None:
        """To the process alone, as a supervisor does."""
        if self.alive:
            os.kill(self.pid, number)

    def send_to_group(self, number: signal.Signals) -> None:
        """To all of the terminal's foreground, as Ctrl+C does."""
        if self.alive:
            os.killpg(self.pid, number)

    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""


class Launcher(Protocol):
    def start(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path
    ) -> Process: ...


class Cold:
    """`python flows/infer.py`, from the first import on."""

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path) -> Process:
        with output.open("ab") as out:
            popen = subprocess.Popen(
                [sys.executable, str(INFER), *arguments],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(output)
        process.started.set_result(popen.pid)
        threading.Thread(target=lambda: process.ended.set_result(popen.wait()), daemon=True).start()
        return process


class Warm:
    """The same from an interpreter that has imported it all (chaos_warm.py)."""

    def __init__(self, environment: Mapping[str, str], program: str = "chaos_warm.py") -> None:
        self._numbers = count()
        self._runs: dict[int, Process] = {}
        self._asking = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, str(PROJECT / "tests" / program)],
            env=dict(environment),
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: Path) -> Process:
        process = Process(output)
        asked = {"arguments": arguments, "folder": folder, "environment": environment, "output": output}
        with self._asking:
            number = next(self._numbers)
            self._runs[number] = process
            assert self._server.stdin
            self._server.stdin.write(json.dumps({"number": number, **asked}, default=str).encode() + b"\n")
            self._server.stdin.flush()
        return process

    def close(self) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.close()
        self._server.wait(30)
        self._listener.join()
        self._server.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _listen(self) -> None:
        assert self._server.stdout
        for line in self._server.stdout:
            said = json.loads(line)
            process = self._runs[said["number"]]
            if "pid" in said:
                process.started.set_result(said["pid"])
            else:
                process.ended.set_result(said["code"])
