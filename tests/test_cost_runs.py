"""What runs cost, from the first estimate to the list of checkpoints: whole runs."""

import logging
import re
from pathlib import Path

import pytest

from deployments.emulator import Emulator, HttpError, Rule
from flows import checkpoints
from flows.cli import main
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.costs.prices import price_of
from tasks.core.details import Usage
from tests.support import MODEL, RunFlow, numbered, write_jsonl


def billed(emulator: Emulator) -> float:
    """By the emulator's own count of tokens."""
    price = price_of(MODEL)
    assert price
    return price.dollars(Usage(emulator.stats.prompt_tokens, emulator.stats.output_tokens))


def test_a_run_stops_before_its_budget_is_exceeded_and_a_job_adds_its_runs_up(
    run: RunFlow,
    emulator: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With what is spent, and the flag to go on with; the list of checkpoints has what all of it cost."""
    caplog.set_level(logging.INFO)
    emulator.set_rules([Rule(HttpError(503), probability=0.2)])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(300))
    settings = {"dataset": data, "max_output_tokens": 50, "max_concurrent": 20, "save_every": 100}

    state = run(**settings, max_cost=0.005)

    assert state.name == "Incomplete"
    assert "of --max-cost 0.005 are spent" in str(state.message)
    assert str(state.message).endswith("--max-cost 0.01 --resume")
    assert 0.004 < billed(emulator) <= 0.005
    [told] = re.findall(r"cost: (\S+); the job so far: (\S+) \(prices: genai-prices", caplog.text)
    assert told[0] == told[1] == f"${billed(emulator):.4f}"

    state = run(**settings, max_cost_per_run=0.002, resume=True)

    assert "of --max-cost-per-run 0.002 are spent" in str(state.message)
    assert str(state.message).endswith("--max-cost-per-run 0.002 --resume")
    assert 0.006 < billed(emulator) <= 0.007

    state = run(**settings, max_cost=0.0071, resume=True)

    assert "of --max-cost 0.0071 are spent" in str(state.message)
    assert 0.006 < billed(emulator) <= 0.0071
    checkpoints.main([])
    assert f"${billed(emulator):.4f}" in capsys.readouterr().out

    requests, records = emulator.stats.requests, LocalStorage(tmp_path / "storage").keys("")
    assert main(lambda: None, ["--dataset", data, "--resume", "--max-output-tokens", "50", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^(\d+) rows to send, (\d+) reused$", told, re.MULTILINE)
    assert re.search(r"^answers: .* by \d+ answers of this job so far, of \d+ tokens each$", told, re.MULTILINE)
    assert (emulator.stats.requests, LocalStorage(tmp_path / "storage").keys("")) == (requests, records)


def test_a_budget_that_cannot_be_held_is_refused(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """A model without a price, and a tool that is billed by its uses: before anything is sent, with the way out."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1))
    state = run(dataset=data, model="my-model", max_cost=1)
    assert state.name == "Refused"
    assert "no price is known of my-model; --price input=0.30,output=2.50 says it" in str(state.message)
    state = run(dataset=data, tools=["google_search"], max_cost_per_run=1)
    assert "--max-cost-per-run: googleSearch is billed by its uses" in str(state.message)
    assert emulator.stats.requests == 0
