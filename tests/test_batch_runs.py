"""Runs with --mode batch, from the parameters to the CSV, and what becomes of them when they are put off or stopped."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect import runtime
from prefect.exceptions import Pause

from deployments.emulator import BatchFault, Emulator, FaultKind, JobState, answer_to
from flows import checkpoints
from flows.batch import at_work, mode, settling
from flows.batch.mode import choice_of
from flows.commands import batch_cancel, batch_jobs
from flows.endings import batches as endings
from flows.endings import states
from flows.endings.exit_codes import ExitCode
from flows.preflight import check
from tasks import resolve
from tasks.core.answering.batch import flight
from tasks.core.checkpoint.attempts import latest_manifest, open_attempt_record
from tasks.core.checkpoint.groups import GroupRecords, Phase
from tasks.core.checkpoint.layout import jobs
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config import parameters
from tasks.core.config.command_line import checked
from tasks.core.costs.estimate import Estimate, Range
from tasks.core.costs.prices import BATCH, price_of
from tasks.core.details import Usage
from tasks.core.errors import InputError
from tasks.core.text import money
from tests.support import MODEL, RESULT, RunFlow, numbered, read_csv, write_jsonl

ROWS = 7
ALL = [answer_to(f"question {n}") for n in range(ROWS)]
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks follow each other at once."""
    for module in (flight, settling):
        monkeypatch.setattr(module, "FIRST_LOOK_SECONDS", 0.05)
        monkeypatch.setattr(module, "MOST_LOOK_SECONDS", 0.1)
    monkeypatch.setattr(batch_cancel, "ASK_SECONDS", 0.0)


@pytest.fixture
def data(tmp_path: Path) -> str:
    return write_jsonl(tmp_path / "d.jsonl", numbered(ROWS))


def answered() -> list[str]:
    return [line["response"] for line in read_csv()]


class Deployed:
    """What `prefect.runtime` says within a deployed run."""

    class deployment:
        id = "some deployment"

    flow_run: Any = runtime.flow_run


@contextmanager
def deployed() -> Iterator[None]:
    """Runs sleep soon after there is nothing new: all of their jobs are under way by then."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (states, at_work, settling, endings):
            patch.setattr(module, "runtime", Deployed)
        patch.setattr(at_work, "STAY_SECONDS", 0.3)
        yield


def test_a_run_by_batch_jobs_has_the_csv_of_any_other(run: RunFlow, emulator: Emulator, data: str) -> None:
    """And shares its checkpoint with runs online."""
    state = run(dataset=data, mode="batch")
    assert state.is_completed(), state.message
    assert answered() == ALL
    stats = emulator.stats
    assert (stats.requests, stats.batch_answers, emulator.batches.calls["create"]) == (0, ROWS, 1)
    assert emulator.files.all() == []
    assert run(dataset=data, resume=True).is_completed()
    assert (emulator.stats.answers, emulator.batches.calls["create"]) == (ROWS, 1)


def test_what_was_uploaded_for_rows_that_have_their_answers_by_now_is_given_up(
    run: RunFlow, emulator: Emulator, data: str, tmp_path: Path
) -> None:
    """Though the run has nothing to send."""
    assert run(dataset=data).is_completed()
    storage = LocalStorage(tmp_path / "storage")
    records = GroupRecords(storage, *jobs(storage))
    left = records.plan("left", "run-1", [], time.time(), size=1, digest="d")
    records.note(left, Phase.UPLOADED, time.time(), file="files/left")
    assert run(dataset=data, mode="batch", resume=True).is_completed()
    assert [group.phase for group in records.all()] == [Phase.GONE]


def test_a_deployed_run_sleeps_while_its_jobs_are_at_work_and_wakes_without_reading_its_data(
    run: RunFlow, emulator: Emulator, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server starts the same flow run again and again; it pays for no row twice."""
    from prefect import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.infer import infer

    read: list[Any] = []

    def resolve_dataset(*arguments: Any) -> Any:
        read.append(arguments)
        return resolve.resolve_dataset(*arguments)

    monkeypatch.setattr("flows.infer.resolve_dataset", resolve_dataset)
    emulator.batches.running_seconds = 7200
    with deployed(), get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(infer, parameters={"dataset": data, "mode": "batch"})
        for _ in range(3):
            with pytest.raises(Pause):
                run_flow(infer, flow_run=client.read_flow_run(flow_run.id), parameters=flow_run.parameters)
            put_off = client.read_flow_run(flow_run.id)
            assert put_off.state_name == "AwaitingRetry"
            assert "1 batch job with 7 rows at work" in ((put_off.state and put_off.state.message) or "")
            assert (emulator.batches.calls["create"], len(read)) == (1, 1)
            client.set_flow_run_state(flow_run.id, AwaitingRetry())
        emulator.forward(7200)
        due = client.read_flow_run(flow_run.id)
        assert run_flow(infer, flow_run=due, return_type="state").is_completed()  # type: ignore[union-attr]
        assert client.read_flow_run(flow_run.id).run_count == 1  # waking up is no retry
    assert (answered(), emulator.stats.answered_more_than_once) == (ALL, {})
    assert emulator.batches.calls["create"] == 1


def test_a_deployed_run_collects_what_has_ended_and_sends_nothing_that_is_in_flight(
    run: RunFlow, emulator: Emulator, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job of two hangs: its rows are waited for, and nobody else sends them."""
    from prefect import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.infer import infer

    monkeypatch.setattr(parameters, "BATCH_ROWS", 4)
    emulator.batches.running_seconds = 7200
    emulator.batches.faults.set([BatchFault(FaultKind.STUCK)])
    with deployed(), get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(infer, parameters={"dataset": data, "mode": "batch"})
        for answers in (0, 3, 3):
            with pytest.raises(Pause):
                run_flow(infer, flow_run=client.read_flow_run(flow_run.id), parameters=flow_run.parameters)
            assert (emulator.batches.calls["create"], emulator.stats.answers) == (2, answers)
            client.set_flow_run_state(flow_run.id, AwaitingRetry())
            emulator.forward(7200)
        emulator.forward(48 * 3600)  # it expires, and its rows go into another
        emulator.batches.running_seconds = 0
        due = client.read_flow_run(flow_run.id)
        assert run_flow(infer, flow_run=due, return_type="state").is_completed()  # type: ignore[union-attr]
    assert (answered(), emulator.stats.answered_more_than_once) == (ALL, {})
    assert emulator.batches.calls["create"] == 3


def test_what_other_runs_do_while_jobs_are_at_work(
    run: RunFlow, emulator: Emulator, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """None of them sends what is in flight; `batches` lists and ends it, and what it has brought is collected."""
    emulator.batches.pending_seconds = 7200
    with deployed(), pytest.raises(Pause):
        run(dataset=data, mode="batch")
    refused = run(dataset=data, resume=True)
    assert refused.name == "Refused"
    assert "1 batch job with 7 rows has not ended, and its rows may be paid for" in (refused.message or "")
    assert batch_jobs.main([]) == ExitCode.FINISHED
    [job] = emulator.batches.all()
    listed = capsys.readouterr().out
    assert f"  {job.name}  pending  0 of 7 rows" in listed
    assert listed.index("d.jsonl test, ") < listed.index(job.name)
    assert "--mode batch --resume" in listed
    assert batch_jobs.main(["--collect", "d.jsonl"]) == ExitCode.FAILED
    look_again = capsys.readouterr().out.strip()
    assert look_again.startswith("Nothing has ended: 1 batch job with 7 rows at work; look again with: ")
    assert checkpoints.main(["--prune", "0m"]) == ExitCode.FINISHED
    assert "batch jobs of it have not ended" in capsys.readouterr().out
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GOOGLE_API_KEY")
        assert batch_jobs.main(["--collect", "d.jsonl"]) == ExitCode.BAD_INPUT
        assert capsys.readouterr().err.startswith("ValueError: GOOGLE_API_KEY is not set in .env file\n")
        assert batch_jobs.main([]) == ExitCode.FINISHED
        assert "states are as last on record" in capsys.readouterr().out
    emulator.batches.faults.set([BatchFault(FaultKind.CANCEL_HALFWAY)])
    assert batch_jobs.main(["--cancel", "d.jsonl"]) == ExitCode.FINISHED
    collect = capsys.readouterr().out.split("collected with: ")[1].split()
    assert look_again.endswith(" ".join(collect))
    assert emulator.batches.all()[0].state is JobState.CANCELLED
    assert batch_jobs.main(collect[2:]) == ExitCode.FAILED, "rows are left to be sent"
    told = capsys.readouterr().out
    assert f"{job.name} cancelled: 3 of 7 rows" in told
    assert "4 rows can be sent again: " in told
    assert sorted(line["status"] for line in read_csv()) == ["error"] * 4 + ["success"] * 3
    assert emulator.stats.answers == 3, "nothing was sent"
    emulator.batches.pending_seconds = 0
    assert run(dataset=data, mode="batch", resume=True).is_completed()
    assert (answered(), emulator.stats.answered_more_than_once) == (ALL, {})
    assert batch_jobs.main([]) == ExitCode.FINISHED
    assert "No batch jobs." in capsys.readouterr().out


@pytest.mark.parametrize("by", ["a run", "--collect"])
def test_answers_are_held_to_the_schema_that_they_were_asked_for(
    run: RunFlow, emulator: Emulator, data: str, tmp_path: Path, by: str
) -> None:
    """Whoever collects them, and whatever that one asks for."""
    other = {"response_schema": '{"type": "integer"}'}
    emulator.batches.pending_seconds = 7200
    with deployed(), pytest.raises(Pause):
        run(dataset=data, mode="batch", limit=3)
    emulator.forward(7200)
    emulator.batches.pending_seconds = 0
    if by == "a run":
        run(dataset=data, mode="batch", resume=True, limit=3, **other)
    else:
        storage = LocalStorage(tmp_path / "storage")
        last = latest_manifest(storage, *jobs(storage))
        assert last
        config, created = last.config | other, last.created + timedelta(seconds=1)
        later = last.model_copy(update={"attempt": "later-1", "config": config, "created": created})
        open_attempt_record(storage, later)
        assert batch_jobs.main(["--collect", "d.jsonl"]) == ExitCode.FAILED, "rows of the other schema are to be sent"
    before = emulator.stats.answers
    assert run(dataset=data, resume=True, limit=3).is_completed()
    assert (answered(), emulator.stats.answers) == (ALL[:3], before)


def test_at_the_deadline_the_rest_goes_online(run: RunFlow, emulator: Emulator, data: str) -> None:
    """Of a run that nobody has to start again."""
    emulator.batches.pending_seconds = 7200
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(at_work, "seconds_of", lambda text: 0.5)
        state = run(dataset=data, mode="batch", deadline="6h")
    assert state.is_completed(), state.message
    assert (answered(), emulator.stats.answered_more_than_once, emulator.stats.batch_answers) == (ALL, {}, 0)
    assert [job.state for job in emulator.batches.all()] == [JobState.CANCELLED]


def test_rows_keep_the_price_that_they_were_had_at(run: RunFlow, emulator: Emulator, data: str) -> None:
    """The table beside the CSV says it of each."""
    import pyarrow.parquet as pq

    emulator.batches.faults.set([BatchFault(FaultKind.ERROR_LINE, times=4, code=13)])
    assert run(dataset=data, mode="batch", limit=3).is_completed()
    tiers = pq.read_table(f"result/{RESULT}.parquet").column("service_tier").to_pylist()
    assert sorted(tiers) == ["batch", "batch", "standard"]


@pytest.mark.parametrize(
    ("asked", "variables", "message"),
    [
        ({}, {"GOOGLE_GENAI_USE_VERTEXAI": "true"}, "--mode batch: batch jobs are for the Gemini Developer API"),
        ({"task_runner": "dask"}, {}, "this process alone, without --task-runner dask"),
    ],
)
def test_where_there_are_no_batch_jobs_nothing_starts(
    emulator: Emulator,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, Any],
    variables: dict[str, str],
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        check(checked({"dataset": data, "mode": "batch", **asked}))


@pytest.mark.parametrize("deadline", ["6", "six hours", "0h", "-1h"])
def test_a_deadline_is_a_length_of_time(deadline: str) -> None:
    with pytest.raises(InputError, match="--deadline"):
        checked({"dataset": "d", "mode": "batch", "deadline": deadline})


def test_auto_takes_the_cheapest_way_and_its_answers_serve_every_mode(
    run: RunFlow, emulator: Emulator, data: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch jobs, or flex where the deadline is too short for them; rows that are answered are asked no more."""
    import pyarrow.parquet as pq

    assert run(dataset=data, mode="auto", limit=2).is_completed()
    assert "--mode auto takes batch: 50% cheaper" in caplog.text
    assert run(dataset=data, mode="auto", deadline="30m", resume=True, limit=4).is_completed()
    assert "--mode auto takes online: no batch: --deadline 30m" in caplog.text
    monkeypatch.setattr(mode, "is_googles", lambda url: True)
    assert run(dataset=data, mode="auto", deadline="30m", resume=True).is_completed()
    assert "--mode auto takes flex: 50% cheaper; no batch: --deadline 30m" in caplog.text
    tiers = pq.read_table(f"result/{RESULT}.parquet").column("service_tier").to_pylist()
    assert tiers == ["batch", "batch", "standard", "standard", "flex", "flex", "flex"]
    assert (answered(), emulator.stats.answers, emulator.batches.calls["create"]) == (ALL, ROWS, 1)


def test_auto_waits_for_jobs_at_work_whatever_it_takes_itself(run: RunFlow, emulator: Emulator, data: str) -> None:
    """None of their rows is sent by another way."""
    emulator.batches.pending_seconds = 7200
    with deployed(), pytest.raises(Pause):
        run(dataset=data, mode="batch", limit=4)
    emulator.forward(7200)
    assert run(dataset=data, mode="auto", deadline="10m", resume=True).is_completed()
    assert (answered(), emulator.stats.answered_more_than_once) == (ALL, {})
    assert (emulator.stats.batch_answers, emulator.batches.calls["create"]) == (4, 1)


def test_a_budget_holds_for_batch_jobs_and_a_job_adds_its_runs_up(
    run: RunFlow, emulator: Emulator, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    """At half the price; with more of it the rest is answered, and the run says what all of it has cost."""
    price, asked = price_of(MODEL), {"dataset": data, "mode": "batch", "max_output_tokens": 400}
    assert price
    state = run(**asked, max_cost=0.00055)  # for one row at its worst
    assert (state.name, emulator.batches.calls["create"] > 1) == ("Incomplete", True)
    assert "of --max-cost 0.00055 are spent; the next request may cost" in str(state.message)
    assert str(state.message).endswith("--max-output-tokens 400 --max-cost 0.0011 --mode batch --resume")
    assert run(**asked, max_cost=1.0, resume=True).is_completed()
    billed = price.dollars(Usage(emulator.stats.prompt_tokens, emulator.stats.output_tokens), BATCH)
    assert f"the job so far: {money(billed)} (prices" in caplog.text
    assert (answered(), emulator.stats.answered_more_than_once) == (ALL, {})


def test_on_vertex_auto_goes_online_and_says_why(
    emulator: Emulator, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    config = checked({"dataset": data, "mode": "auto"})
    check(config)
    choice = choice_of(
        config, Estimate(5, *(Range(0.0, 0.0),) * 2), None, price_of(config.model), 86_400.0, pytest.fail
    )
    assert choice.line.startswith("--mode auto takes online: no batch: batch jobs are for the Gemini Developer API;")
