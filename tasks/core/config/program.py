"""What can be started, and how whoever started this process calls it. Knows no parameters."""

import argparse
import os
import shlex
import shutil
import sys
from enum import StrEnum
from pathlib import Path

_UNDER_UV = "UV_RUN_RECURSION_DEPTH"  # which `uv run` sets for what it starts
CONSOLE = "gemini-infer"


class Program(StrEnum):
    """What can be started, by its name behind `gemini-infer`."""

    RUN = "run"
    CHECKPOINTS = "checkpoints"
    CONFIG = "config"
    BATCHES = "batches"
    REPORT = "report"
    COMPARE = "compare"
    UI = "ui"


_FILES = {Program.RUN: "flows/infer.py", Program.CHECKPOINTS: "flows/checkpoints.py"}


def command(program: Program) -> str:
    """How the user calls `program`: the way this process was started, so that it can be pasted."""
    under_uv, script = _UNDER_UV in os.environ, Path(sys.argv[0])
    python = Path("python" if under_uv else sys.orig_argv[0] or "python")
    beside = script if script.stem == CONSOLE else python.with_name(CONSOLE)
    if script.stem == CONSOLE or program not in _FILES:
        on_path = under_uv or not beside.is_file() or shutil.which(CONSOLE) == str(beside)
        started = f"{CONSOLE if on_path else shlex.quote(str(beside))} {program}"
    elif script.name in {Path(file).name for file in _FILES.values()}:
        started = f"{shlex.quote(str(python))} {shlex.quote(str(script.with_name(Path(_FILES[program]).name)))}"
    else:  # of a worker: what is in the clone
        started = f"python {_FILES[program]}"
    return f"uv run {started}" if under_uv else started


def add_version(parser: argparse.ArgumentParser) -> None:
    """Make `--version` show the version of the package that is installed."""
    parser.add_argument("--version", action=_ShowVersion, nargs=0, dest=argparse.SUPPRESS, help="Show the version.")


class _ShowVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version  # nobody else waits for it

        print(f"{CONSOLE} {version(CONSOLE)}")
        parser.exit()
