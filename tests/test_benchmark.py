"""The benchmark's figures in small, against bounds so wide that only a gross regression breaks them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmark import planning_seconds
from tests.measuring import Api, efficiency_of, emulator, write_rows
from tests.support import RunFlow


@pytest.fixture(scope="module")
def process() -> Iterator[Api]:
    """The emulator in a process of its own, whose work does not count as this one's."""
    with emulator("--seed", "7") as running:
        yield running


@pytest.fixture
def api(process: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", process.url)
    monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
    yield process
    process.post("latency", {"kind": "constant", "seconds": 0})
    process.post("limits", {})
    process.post("reset")


def test_efficiency_compares_with_a_perfect_scheduler() -> None:
    """Latencies 3, 1, 1, 1 on two slots take 3 seconds; in batches of two they take 4."""
    latencies = [3, 1, 1, 1]
    assert efficiency_of([[s, t, t, 200] for s, t in zip([0, 0, 1, 2], latencies, strict=True)], 2) == 1.0
    assert efficiency_of([[s, t, t, 200] for s, t in zip([0, 0, 3, 3], latencies, strict=True)], 2) == 0.75


def test_slots_are_kept_busy(run: RunFlow, api: Api, tmp_path: Path) -> None:
    """Chunk after chunk reaches less than half; the target of the benchmark is 0.98."""
    api.post("latency", {"kind": "lognormal", "mean_seconds": 0.3, "sigma": 0.6})
    assert run(dataset=write_rows(tmp_path / "rows", 120), max_concurrent=10, save_every=10).is_completed()
    assert api.get("stats")["peak_in_flight"] <= 10
    assert api.efficiency(10) > 0.7


def test_a_rate_limit_is_used_and_not_fought(run: RunFlow, api: Api, tmp_path: Path) -> None:
    """500 may be in flight, 50 a second are let through: every row succeeds, most of the rate is used."""
    api.post("latency", {"kind": "constant", "seconds": 0.2})
    api.post("limits", {"requests_per_second": 50})
    assert run(dataset=write_rows(tmp_path / "rows", 250), max_concurrent=500, save_every=50).is_completed()
    stats = api.get("stats")
    assert stats["answers"] == 250
    assert stats["requests"] < 5 * 250
    assert (250 - 50) / api.seconds > 0.4 * 50  # the first 50 came at once


def test_a_row_costs_little_and_a_finished_one_next_to_nothing(run: RunFlow, api: Api, tmp_path: Path) -> None:
    """The target is 2.5 ms of CPU a row, the whole process included."""
    run(dataset=write_rows(tmp_path / "few", 50), max_concurrent=50, save_every=50)  # imports, pools, caches
    data, started = write_rows(tmp_path / "many", 500), time.process_time()
    run(dataset=data, max_concurrent=50, save_every=50)
    sent = time.process_time() - started
    assert sent / 500 < 0.010
    api.post("reset")
    assert run(dataset=data, resume=True).is_completed()
    assert time.process_time() - started - sent < sent
    assert api.get("stats")["requests"] == 0


def test_planning_is_quick(tmp_path: Path) -> None:
    """The target is 3 seconds for ten times as many rows."""
    assert planning_seconds(tmp_path, 5000) < 2
