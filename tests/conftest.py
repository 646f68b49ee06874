"""What tests share: a Prefect that forgets, and a Gemini emulator."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import State
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from deployments.emulator import Emulator
from tests.support import RunFlow


@pytest.fixture(scope="session")
def prefect() -> Iterator[None]:
    """A Prefect server for the length of the tests, with a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The Gemini API, with nothing wrong until a test says so."""
    with Emulator().in_thread() as running:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", running.url)
        monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
        yield running


@pytest.fixture
def run(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFlow]:
    """Runs the flow in this process; results and CSV under `tmp_path`."""
    from flows.infer import infer

    monkeypatch.chdir(tmp_path)

    def run_flow(**parameters: Any) -> State[Any]:
        state: State[Any] = infer(**parameters, return_state=True)  # type: ignore[call-overload]
        return state

    with temporary_settings({PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):
        yield run_flow
