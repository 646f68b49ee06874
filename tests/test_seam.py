"""The real flow over another kind of answerer: it finds no difference, and puts itself off where answers are due later.

Nothing is sent here: the answers come from a table.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import runtime

from deployments.emulator import Emulator
from flows.endings import states
from tasks.answer_chunk import process
from tasks.core.answering.base import Watcher
from tasks.core.answering.run import Run
from tests.answerers import TableAnswerer
from tests.support import CSV, RunFlow, numbered, read_csv, write_jsonl

DUE = datetime.now(UTC) + timedelta(hours=2)
type Answering = Callable[..., list[TableAnswerer]]


@pytest.fixture
def answering(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Makes a table answer all runs from now on; returns the answerers that runs will have made of it."""

    def answering(rows: range, due: datetime | None = None) -> list[TableAnswerer]:
        made: list[TableAnswerer] = []
        table = {f"question {n}": f"answer {n}" for n in rows}

        def make(run: Run, storage: object, watcher: Watcher) -> TableAnswerer:
            made.append(TableAnswerer(table, due, watcher))
            return made[-1]

        monkeypatch.setattr(process, "make_answerer", make)
        return made

    return answering


def test_any_answerer_fills_the_csv(run: RunFlow, emulator: Emulator, tmp_path: Path, answering: Answering) -> None:
    """One for all chunks of the run, each under a name of its own, closed at the end; the API hears of nothing."""
    made = answering(range(20))
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(20)), save_every=6)
    assert state.is_completed()
    assert [line["response"] for line in read_csv()] == [f"answer {n}" for n in range(20)]
    [answerer] = made
    assert len(set(answerer.chunks)) == 4
    assert answerer.closed
    assert emulator.stats.requests == 0


def test_an_answerer_that_stops_ends_the_run_and_keeps_what_it_brought(
    run: RunFlow, tmp_path: Path, answering: Answering
) -> None:
    """With its own words, and the command that goes on."""
    answering(range(7))
    data = write_jsonl(tmp_path / "d.jsonl", numbered(10))
    state = run(dataset=data, save_every=10)
    assert state.name == "Incomplete"
    assert "api_down: 3 answers are not in the table; 7 of 10 rows are saved; continue with: " in (state.message or "")
    answering(range(7, 10))
    assert run(dataset=data, resume=True).is_completed()
    assert [line["response"] for line in read_csv()] == [f"answer {n}" for n in range(10)]


def test_answers_that_are_due_later_put_the_run_off_and_resume_collects_them(
    run: RunFlow, tmp_path: Path, answering: Answering
) -> None:
    """A run from a shell ends, says when to go on and how, and has kept what there was; no CSV yet."""
    answering(range(7), DUE)
    data = write_jsonl(tmp_path / "d.jsonl", numbered(10))
    state = run(dataset=data, save_every=5)
    at = f"{DUE.astimezone():%Y-%m-%d %H:%M %Z}"
    message = state.message or ""
    assert (state.name, state.is_failed()) == ("Deferred", True)
    assert message.startswith("answers are due later: 3 answers are being made; 7 of 10 rows are saved; ")
    assert f"from {at} on continue with: python flows/infer.py" in message
    assert message.endswith("--resume")
    assert not Path(CSV).exists()
    answering(range(7, 10))
    assert run(dataset=data, resume=True).is_completed()
    assert [line["response"] for line in read_csv()] == [f"answer {n}" for n in range(10)]


def test_a_deployed_run_goes_on_by_itself_when_the_answers_are_due(
    run: RunFlow, tmp_path: Path, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server starts the same flow run again; it collects what its earlier attempt left, and asks no row twice."""
    from prefect import get_client
    from prefect.exceptions import Pause
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.infer import infer

    answering(range(7), DUE)
    data = write_jsonl(tmp_path / "d.jsonl", numbered(10))
    monkeypatch.setattr(states, "runtime", Deployed)
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(infer, parameters={"dataset": data, "save_every": 5})
        with pytest.raises(Pause):
            run_flow(infer, flow_run=flow_run, parameters=flow_run.parameters)
        put_off = client.read_flow_run(flow_run.id)
        assert put_off.state_name == "AwaitingRetry"
        assert put_off.next_scheduled_start_time == DUE
        made = answering(range(7, 10))
        client.set_flow_run_state(flow_run.id, AwaitingRetry())  # those two hours are over
        due = client.read_flow_run(flow_run.id)
        assert run_flow(infer, flow_run=due, return_type="state").is_completed()  # type: ignore[union-attr]
    assert len(made) == 1
    assert [line["response"] for line in read_csv()] == [f"answer {n}" for n in range(10)]


class Deployed:
    """What `prefect.runtime` says within a deployed run."""

    class deployment:
        id = "some deployment"

    flow_run: Any = runtime.flow_run
