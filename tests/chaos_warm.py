"""An interpreter that has imported the flow and forks for every run: a run then costs its work, not its start.

Reads a line of JSON a run from stdin, `{"number", "arguments", "folder", "environment", "output"}`, and writes
`{"number", "pid"}` once the run's process exists and `{"number", "code"}` when it has ended. What the child runs is
`flows/infer.py` as `python flows/infer.py` runs it: main thread, own session, own environment, own exit of the
interpreter. It must never run a flow itself: what has threads can't be forked.
"""

import gc
import json
import os
import runpy
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
INFER = PROJECT / "flows" / "infer.py"
# What a run imports late: Prefect's engine, a reader of data, the server's half of the client.
LATE = (
    "anyio._backends._asyncio",
    "fastapi",
    "pandas.io.formats.csvs",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "rich._emoji_codes",
)


def serve() -> dict[str, Any] | None:
    """The run that this process is to be, in a child; None in the parent, at the end of stdin."""
    children: dict[int, int] = {}  # the number of the run by its process id
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C at pytest: stdin will end
    asked = b""
    while True:
        ready, _, _ = select.select([0, bell], [], [])
        if bell in ready:
            os.read(bell, 4096)
            report_ended(children)
        if 0 in ready:
            if not (read := os.read(0, 65536)):
                return None
            *lines, asked = (asked + read).split(b"\n")
            for line in lines:
                run = json.loads(line)
                if not (pid := fork()):
                    os.close(bell)
                    os.close(ring)
                    return dict(run)
                children[pid] = run["number"]
                say(number=run["number"], pid=pid)


def fork() -> int:
    """`os.fork`, back in the parent only once the child leads a session of its own."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # threads of numpy's, which bear it
        pid = os.fork()
    if pid == 0:
        os.setsid()
        return 0
    while os.getpgid(pid) != pid:
        time.sleep(0.001)
    return pid


def report_ended(children: dict[int, int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        say(number=children.pop(pid), code=os.waitstatus_to_exitcode(status))


def say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def become(run: dict[str, Any]) -> None:
    """Leave behind all that the parent has and a fresh interpreter would not."""
    from prefect.context import refresh_global_settings_context

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(run["output"], os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(run["folder"])
    os.environ.clear()
    os.environ.update(run["environment"])
    refresh_global_settings_context()
    sys.argv = [str(INFER), *run["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def main(prepare: Callable[[dict[str, str]], object] = lambda environment: None) -> None:
    """`prepare` is called in each child, with its environment, before the run begins."""
    sys.path[0] = str(INFER.parent)
    for name in ("flows.infer", "flows.cli", *LATE):
        __import__(name)
    gc.collect()
    gc.freeze()  # children would copy the pages that a collection touches
    if run := serve():
        become(run)
        prepare(run["environment"])
        runpy.run_path(str(INFER), run_name="__main__")


if __name__ == "__main__":
    main()
