"""The programs as a shell starts them: `gemini-infer`, `python flows/infer.py`, `python flows/checkpoints.py`."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from deployments.emulator import Emulator
from flows.checked import Checked, checked_run, handing_on
from flows.endings.exit_codes import ExitCode, exit_code
from tasks.core.config.command_line import EPILOG, resume_command
from tasks.core.config.parameters import RunConfig
from tasks.core.data.sources import resolve
from tasks.core.environment.variables import PROJECT
from tasks.core.errors import InputError
from tests.hub import NAME, Hub
from tests.support import CSV, numbered, read_csv, write_jsonl

ROOT = Path(__file__).parents[1]
CONSOLE = [str(Path(sys.executable).with_name("gemini-infer"))]
INFER = [sys.executable, str(ROOT / "flows" / "infer.py")]
CHECKPOINTS = [sys.executable, str(ROOT / "flows" / "checkpoints.py")]


def output_of(*command: str, folder: Path, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout


def test_every_way_in_says_its_version(tmp_path: Path) -> None:
    """That of the package that is installed."""
    ways = [CONSOLE, [*CONSOLE, "run"], [*CONSOLE, "checkpoints"], INFER, CHECKPOINTS]
    expected = (0, f"gemini-infer {importlib.metadata.version('gemini-infer')}\n")
    assert [output_of(*way, "--version", folder=tmp_path) for way in ways] == [expected] * len(ways)


@pytest.mark.parametrize("way", [CONSOLE, [*CONSOLE, "run"], INFER])
def test_a_word_is_not_needed_to_run(way: list[str], tmp_path: Path) -> None:
    """`gemini-infer --dataset x` is `gemini-infer run --dataset x`."""
    code, line = output_of(*way, "--limit", "-1", folder=tmp_path)
    assert (code, line) == (2, "--limit '-1': it must be greater than or equal to 0\n")


@pytest.mark.parametrize(
    ("way", "usage"),
    [
        (CONSOLE, "usage: gemini-infer [run] [flags]"),
        ([*CONSOLE, "run"], "usage: gemini-infer run --dataset NAME [flags]"),
        ([*CONSOLE, "checkpoints"], "usage: gemini-infer checkpoints [-h]"),
        (INFER, f"usage: {' '.join(INFER)} --dataset NAME [flags]"),
        (CHECKPOINTS, f"usage: {' '.join(CHECKPOINTS)}"),
    ],
)
def test_help_calls_a_program_as_it_was_called(way: list[str], usage: str, tmp_path: Path) -> None:
    code, shown = output_of(*way, "--help", folder=tmp_path)
    assert (code, shown[: len(usage)]) == (0, usage)


@pytest.mark.parametrize(
    ("started", "command"),
    [
        ("/opt/bin/gemini-infer", "gemini-infer run --dataset d --resume"),
        ("gemini-infer.exe", "gemini-infer run --dataset d --resume"),
        ("flows/infer.py", "python flows/infer.py --dataset d --resume"),
        ("../my flows/infer.py", "python '../my flows/infer.py' --dataset d --resume"),
        ("/opt/lib/prefect/engine.py", "python flows/infer.py --dataset d --resume"),
    ],
)
def test_a_message_names_the_command_the_way_the_run_was_started(
    monkeypatch: pytest.MonkeyPatch, started: str, command: str
) -> None:
    """A run of a worker was started by no command: there the file is named, which is in the clone."""
    monkeypatch.setattr(sys, "argv", [started, "run"])
    monkeypatch.setattr(sys, "orig_argv", ["python", started])
    assert resume_command(RunConfig(dataset="d")) == command


@pytest.mark.parametrize("script", ["infer.py", "checkpoints.py"])
def test_modules_of_the_flows_do_not_stand_for_libraries(script: str, tmp_path: Path) -> None:
    """Python puts a script's folder first, and a library that imports `logs` would get ours. The project stays."""
    program = f"""
import importlib.util, runpy, sys
sys.path.insert(0, {str(ROOT / "flows")!r})  # as Python does
sys.argv = [{script!r}, "--version"]
try:
    runpy.run_path({str(ROOT / "flows" / script)!r}, run_name="__main__")
except SystemExit:
    pass
print([name for name in ("cli", "logs", "flows", "tasks") if importlib.util.find_spec(name)])
"""
    code, shown = output_of(sys.executable, "-c", program, folder=tmp_path)
    assert (code, shown.splitlines()[-1]) == (0, "['flows', 'tasks']")


def test_no_module_of_the_flows_has_the_name_of_a_library() -> None:
    """A worker that pulls the repository puts flows/ first, whatever the program does."""
    ours = {path.stem for path in (ROOT / "flows").iterdir() if not path.name.startswith("_")}
    installed = set(importlib.metadata.packages_distributions()) - {"flows", "tasks", "deployments"}
    assert len(ours) > 10
    assert ours & (installed | sys.stdlib_module_names) == set()


def test_importing_the_flow_changes_nothing_of_the_process(tmp_path: Path) -> None:
    """No environment, no level or filter of a log, no progress bar: what a run needs, a run sets."""
    program = """
import json, logging, os
import datasets, prefect
def seen():
    names = ["datasets", "datasets.packaged_modules", "huggingface_hub.repocard", "prefect.flow_runs", "distributed"]
    logs = {name: (logging.getLogger(name).level, len(logging.getLogger(name).filters)) for name in names}
    return json.dumps([dict(os.environ), logs, datasets.are_progress_bars_disabled()])
before = seen()
import flows.infer, flows.cli, flows.checkpoints, flows.console
print(seen() == before)
"""
    (tmp_path / ".env").write_text("FROM_ENV_FILE=1")
    code, shown = output_of(sys.executable, "-c", program, folder=tmp_path)
    assert (code, shown.splitlines()[-1]) == (0, "True")


def test_the_projects_env_is_looked_for_at_its_root() -> None:
    assert (PROJECT / "pyproject.toml").is_file()


def test_help_lists_the_exit_codes_there_are() -> None:
    listed = re.findall(r"(?:: |; )(\d+) ", EPILOG.splitlines()[0])
    assert [int(code) for code in listed] == list(ExitCode)


@pytest.mark.parametrize(
    ("name", "completed", "code"),
    [
        ("Completed", True, 0),
        ("Incomplete", False, 1),
        ("Unanswered", False, 1),
        ("Crashed", False, 1),
        (None, False, 1),
        ("Refused", False, 2),
        ("Interrupted", False, 130),
        ("Cancelled", False, 130),
    ],
)
def test_a_state_has_its_exit_code(name: str | None, completed: bool, code: int) -> None:
    assert exit_code(name, completed) == code


def test_a_run_takes_what_was_checked_for_it_and_nothing_that_was_checked_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without anything handed on, as in a deployment, it checks by itself."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    config = RunConfig(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(2)), output_dir=str(tmp_path / "result"))
    found = Checked(config, resolve(config))
    with handing_on(found):
        assert checked_run(config) is found
        with pytest.raises(InputError, match="does not exist"):
            checked_run(RunConfig(dataset="no.csv"))
    assert checked_run(config) == Checked(config)


def test_the_hub_is_asked_once_and_a_branch_that_moves_on_moves_no_rows(
    prefect: None, emulator: Emulator, tmp_path: Path
) -> None:
    """The command line has looked when the flow starts: nothing in the flow asks again."""
    contents = ["".join(json.dumps(row) + "\n" for row in numbered(3, first)) for first in (0, 100)]
    environment = {"PREFECT_API_URL": PREFECT_API_URL.value() or "", "PREFECT_HOME": str(tmp_path / "prefect")}
    with Hub(contents[:1]).serving() as still, Hub(contents).serving() as moving:
        config = f"RunConfig(dataset={NAME!r})"
        look = (
            "from tasks.core.config.parameters import RunConfig\n"
            f"from tasks.core.data.sources import resolve\nresolve({config})"
        )
        online = {"HF_HUB_OFFLINE": "0"}
        output_of(
            *(sys.executable, "-c", look), folder=tmp_path, HF_ENDPOINT=still.url, HF_HOME=str(tmp_path / "1"), **online
        )
        code, shown = output_of(
            *(*CONSOLE, "--dataset", NAME),
            folder=tmp_path,
            HF_ENDPOINT=moving.url,
            HF_HOME=str(tmp_path / "2"),
            **(environment | online),
        )
    assert code == 0, shown
    assert [line["input_query"] for line in read_csv(tmp_path / CSV)] == [f"question {n}" for n in range(3)]
    assert len(still.asked) > 1
    assert moving.asked == still.asked
