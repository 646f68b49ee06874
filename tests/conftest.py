"""What tests share: a Prefect that forgets, and a Gemini emulator."""

import gc
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import certifi
import pytest
from prefect import State
from prefect.context import refresh_global_settings_context
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOCAL_STORAGE_PATH,
    temporary_settings,
)

from deployments.emulator import Emulator
from flows.local_server import LocalServer
from tests.support import NO_BLOCKS, RunFlow

gc.set_threshold(50_000, 20, 20)  # a sixth of what tests take goes to the collector otherwise
# Half of what a run costs the server that tests share: logs and events that none of them reads, and services for
# schedules. Servers with all of it: test_local_server.py, test_server.py.
_SERVICES = ("EVENT_PERSISTER", "TRIGGERS", "SCHEDULER", "LATE_RUNS", "FOREMAN", "CANCELLATION_CLEANUP")
_OFF = ("LOGGING_TO_API", *(f"SERVER_SERVICES_{name}" for name in (*_SERVICES, "PAUSE_EXPIRATIONS", "REPOSSESSOR")))
LEAN = NO_BLOCKS | {f"PREFECT_{name}_ENABLED": "false" for name in _OFF}
NO_HEARTBEATS: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
SLOW = ("test_local_server", "test_processes", "test_flow", "test_resume", "test_benchmark", "test_event_loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slowest files first, each in a process of its own; what is quick fills the gaps at the end."""
    order = ["test_server", "test_chaos", "test_cluster_runs", *SLOW, None]
    items.sort(key=lambda item: order.index(item.path.stem if item.path.stem in order else None))


@pytest.fixture(autouse=True)
def _no_keys_of_the_project(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the `.env` of whoever runs it."""
    monkeypatch.setattr("tasks.core.environment.variables.PROJECT", tmp_path_factory.getbasetemp() / "no-project")


@pytest.fixture(autouse=True)
def _not_under_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that are told begin with `uv run` where the tests themselves were started so."""
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)


@pytest.fixture(autouse=True)
def _settings_as_the_environment_has_them() -> None:
    """A test that changes the environment leaves its settings behind: the next would start a server of its own."""
    if PREFECT_API_URL.value() != os.environ.get("PREFECT_API_URL"):
        refresh_global_settings_context()


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of the authorities that clients trust, one: to load them all a dozen times is half of what a small run costs."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.getbasetemp() / "authority.pem"
    file.write_text(first + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for the tests of all of pytest's processes, with a database of its own."""
    folder = tmp_path_factory.getbasetemp()
    home = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "prefect"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(home))
        for name, value in LEAN.items():
            patch.setenv(name, value)
        refresh_global_settings_context()
        with LocalServer():
            _keep_empty_database(home)
            yield
    refresh_global_settings_context()


def _keep_empty_database(home: Path) -> None:
    """What a first boot spends most of its time on, for the homes of other tests; made once, by whoever comes first."""
    template = home / "empty.db"
    if not template.exists():
        own = home / f"empty.{os.getpid()}.db"
        with closing(sqlite3.connect(home / "prefect.db")) as source, closing(sqlite3.connect(own)) as copy:
            source.backup(copy)
        own.replace(template)


@pytest.fixture(scope="session")
def empty_database(prefect: None) -> Path:
    """A database as Prefect makes it at a first boot (which other tests may have written to meanwhile)."""
    return Path(os.environ["PREFECT_HOME"]) / "empty.db"


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The Gemini API, with nothing wrong until a test says so."""
    with Emulator().in_thread() as running:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running.url)
        monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
        yield running


@pytest.fixture
def no_heartbeats() -> Iterator[None]:
    """The end of a flow waits for the thread of its heartbeats, which sleeps for whole seconds."""
    with temporary_settings(NO_HEARTBEATS):
        yield


@pytest.fixture
def run(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFlow]:
    """Runs the flow in this process; results and CSV under `tmp_path`."""
    from flows.infer import infer

    monkeypatch.chdir(tmp_path)

    def run_flow(**parameters: Any) -> State[Any]:
        state: State[Any] = infer(**parameters, return_state=True)
        return state

    with temporary_settings(NO_HEARTBEATS | {PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):  # each costs 60 ms
        yield run_flow
