"""No answer that was paid for is lost or paid for again: whole runs, and storage that fails them."""

import base64
import json
import pickle
import shutil
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem

from deployments.emulator import (
    INVALID_KEY,
    Answer,
    Breakage,
    Broken,
    Emulator,
    Finish,
    HttpError,
    LogNormal,
    Quota,
    RateLimited,
    Rule,
    answer_to,
)
from flows import checkpoints
from flows.commands import configuration
from tasks.core.checkpoint import journal
from tasks.core.checkpoint.layout import job_key
from tasks.core.checkpoint.lock import JobLock
from tasks.result_storage import storage_of
from tests.support import CSV, MODEL, RunFlow, numbered, read_csv, write_jsonl

BAD_REQUEST = HttpError(400, "Invalid value.")


def records(tmp_path: Path, pattern: str) -> list[Path]:
    """The records of all jobs whose name matches, oldest first."""
    found = (tmp_path / "storage" / "gemini-infer" / "v1").rglob(pattern)
    return sorted((path for path in found if path.is_file()), key=lambda path: path.stat().st_mtime_ns)


def test_what_any_attempt_has_kept_is_reused_whatever_came_after_it(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Finished, limited, refused at once, their newest manifest empty: one pool; and who pays again is told before."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(30))
    run(dataset=data, limit=20)
    run(dataset=data, limit=5)
    assert "5 of 5 rows are answered already; --resume reuses them, this run pays for them again" in caplog.text
    emulator.set_rules([Rule(INVALID_KEY)])
    run(dataset=data)
    assert "20 of 30 rows are answered already; --resume reuses them" in caplog.text
    emulator.set_rules([])
    records(tmp_path, "manifest")[-1].write_bytes(b"")
    records(tmp_path, "manifest")[0].write_text('{"chunks": 1000000000}')
    emulator.reset()
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.answers == 10
    assert "2 damaged records in the checkpoint" in caplog.text
    assert "20 rows reused from the checkpoint, 10 to send" in caplog.text
    caplog.clear()
    run(dataset=data, resume=True)
    assert "damaged" not in caplog.text
    assert [line["response"] for line in read_csv()] == [answer_to(row["input_query"]) for row in numbered(30)]


def test_equal_rows_outside_the_limit_keep_their_answers(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """A run over the first row must not take what it does not see for superfluous."""
    data = write_jsonl(tmp_path / "d.jsonl", [{"id": "same", "input_query": "the same question"}] * 80)
    run(dataset=data, save_every=1, dedupe=False)
    run(dataset=data, resume=True, limit=1, dedupe=False)
    run(dataset=data, resume=True, dedupe=False)
    assert emulator.stats.answers == 80


def test_a_rerun_asks_no_second_time_for_what_retry_errors_asked_for(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """The re-run continues its own attempt; nor does the command that is printed ask again."""
    from flows.infer import infer

    data = write_jsonl(tmp_path / "d.jsonl", numbered(8))
    emulator.set_rules([Rule(Finish("MAX_TOKENS"))])
    run(dataset=data)
    emulator.reset()
    slow = Rule(Broken(Breakage.HANG), pattern="question 3$")
    emulator.set_rules([slow, Rule(Finish("MAX_TOKENS"))])
    retried = infer.with_options(retries=2, retry_delay_seconds=0)
    asked = {"dataset": data, "resume": True, "retry_errors": ["truncated"]}
    state = retried(**asked, max_attempts=1, timeout_seconds=0.3, return_state=True)
    assert emulator.stats.requests == 8 + 2
    assert "1 row can be sent again" in (state.message or "")
    assert "--retry-errors" not in (state.message or "")


def test_moved_data_finds_its_answers_and_says_where(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Renamed, in another folder, some rows new; then the answers are its own, even when the old ones are pruned."""
    run(dataset=write_jsonl(tmp_path / "old.jsonl", numbered(20)))
    (tmp_path / "elsewhere").mkdir()
    moved = write_jsonl(tmp_path / "elsewhere" / "new.jsonl", [*numbered(3, first=90), *numbered(20)])
    assert run(dataset=moved, resume=True, limit=10).is_completed()
    assert f"7 rows have their answers in the checkpoint of {tmp_path / 'old.jsonl'} test" in caplog.text
    assert emulator.stats.answers == 23
    old = job_key(str(tmp_path / "old.jsonl"), None, "test", MODEL)
    run(dataset=moved, resume=True)
    shutil.rmtree(tmp_path / "storage" / old)
    run(dataset=moved, resume=True)
    assert emulator.stats.answers == 23


def test_a_checkpoint_of_version_0_1_resumes(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """18 of its 30 rows are answered, two of them in a chunk that was stopped."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(30))
    job = tmp_path / "storage" / job_key(data, None, "test", model := "gemini-2.5-flash")
    shutil.copytree(Path(__file__).parent / "checkpoint_0_1", job / "bde2e61d-85be-4c03-b030-21de4aa6b66f-1")
    assert run(dataset=data, model=model, resume=True).is_completed()
    assert emulator.stats.answers == 12
    lines = read_csv(f"result/{model}_test_result.csv")
    assert [line["response"] for line in lines] == [answer_to(row["input_query"]) for row in numbered(30)]


class Trap:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


def test_a_record_that_names_pickle_or_a_class_runs_no_code(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """It is damaged, as far as anyone here is concerned; and every record is JSON that anyone can read."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(4))
    run(dataset=data)
    for record in records(tmp_path, "*"):
        json.loads(record.read_text())
    mark = tmp_path / "code-has-run"
    pickled = base64.b64encode(pickle.dumps(Trap(mark))).decode()
    envelope = {"metadata": {"serializer": {"type": "pickle", "picklelib": "pickle"}}, "result": pickled}
    named = {"__class__": "pathlib.Path", "data": str(mark)}
    for record, content in zip(records(tmp_path, "*"), [json.dumps(envelope), json.dumps(named)] * 9, strict=False):
        record.write_text(content)
    assert run(dataset=data, resume=True).is_completed()
    assert not mark.exists()
    assert emulator.stats.answers == 8


@contextmanager
def storage_away(tmp_path: Path) -> Iterator[None]:
    """A file stands where the storage was: nothing can be written or read."""
    storage, away = tmp_path / "storage", tmp_path / "away"
    storage.rename(away)
    storage.touch()
    try:
        yield
    finally:
        storage.unlink()
        away.rename(storage)


def test_a_storage_that_fails_for_a_while_holds_the_run_up_and_costs_nothing(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is sent meanwhile, and every answer is on storage in the end."""
    emulator.set_latency(LogNormal(0.1, 0.3))
    data = write_jsonl(tmp_path / "d.jsonl", numbered(60))
    sent: list[int] = []

    def trouble() -> None:
        while emulator.stats.answers < 20:
            threading.Event().wait(0.005)
        with storage_away(tmp_path):
            while "Answers cannot be saved" not in caplog.text:
                threading.Event().wait(0.01)
            threading.Event().wait(0.5)
            sent.append(emulator.stats.requests)
            threading.Event().wait(1.0)
            sent.append(emulator.stats.requests)

    breaker = threading.Thread(target=trouble)
    breaker.start()
    state = run(dataset=data)
    breaker.join()
    assert state.is_completed()
    assert sent[0] == sent[1] < 60
    assert "Answers can be saved again" in caplog.text
    assert "Traceback" not in caplog.text
    Path(CSV).unlink()
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.answers == 60
    assert len(read_csv()) == 60


def test_a_storage_that_keeps_failing_stops_the_sending_and_what_is_in_memory_reaches_the_csv(
    run: RunFlow,
    emulator: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, the way to go on, no traceback; the CSV's disk is fine."""
    monkeypatch.setattr(journal, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr("tasks.core.answering.run_here.LAST_SAVES_SECONDS", 0.5)
    emulator.set_latency(LogNormal(0.1, 0.3))
    data = write_jsonl(tmp_path / "d.jsonl", numbered(200))
    broken = threading.Event()

    def trouble() -> None:
        while emulator.stats.answers < 40:
            threading.Event().wait(0.005)
        with storage_away(tmp_path):
            broken.wait(60)

    breaker = threading.Thread(target=trouble)
    breaker.start()
    state = run(dataset=data)
    broken.set()
    breaker.join()
    assert state.name == "Incomplete"
    assert "storage: the result storage cannot be written: " in (state.message or "")
    assert "continue with: python flows/infer.py" in (state.message or "")
    assert "Traceback" not in caplog.text
    assert "Prefect could not persist the results of " in caplog.text
    assert emulator.stats.answers < 100
    lines = read_csv()
    assert len(lines) == 200
    assert sum(line["status"] == "success" for line in lines) == emulator.stats.answers
    assert {line["error_message"] for line in lines} == {"", "unsent: no answer yet; --resume sends it"}
    assert run(dataset=data, resume=True).is_completed()
    assert "answers that an earlier run could not save are in the checkpoint now" in caplog.text
    assert emulator.stats.answers == 200
    run(dataset=data, resume=True)
    assert emulator.stats.answers == 200


def test_a_storage_that_cannot_be_used_from_the_start_costs_nothing(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """One line before the first request."""
    (tmp_path / "storage").touch()
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(3)))
    assert state.is_failed()
    assert "the result storage cannot be used, nothing was sent: cannot " in (state.message or "")
    assert emulator.stats.requests == 0


def test_what_tells_of_a_run_cannot_end_it(
    run: RunFlow, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The progress bar, the artifact, the summary: each fails here, and every row is in the CSV."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("tasks.core.reporting.progress.Progress.add", fail)
    monkeypatch.setattr("tasks.report.create_markdown_artifact", fail)
    monkeypatch.setattr("tasks.core.planning.attempt.close_attempt_record", fail)
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(12)), save_every=5)
    assert state.is_completed()
    assert len(read_csv()) == 12
    assert "the report could not be written: out of order" in caplog.text
    assert "the checkpoint's summary could not be written: out of order" in caplog.text


def test_rows_that_failed_before_and_are_asked_anew_keep_both_outcomes(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """A fresh run that fails where an earlier one was answered does not take the answer away."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(6))
    run(dataset=data)
    emulator.set_rules([Rule(Broken(Breakage.HANG), pattern="question 0$")])
    run(dataset=data, max_attempts=1, timeout_seconds=0.3)
    emulator.reset()
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.requests == 0


def test_a_checkpoint_is_listed_made_into_a_csv_and_removed_without_a_request(
    run: RunFlow, emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unfinished: every row stands in the CSV, with its answer, with why it failed, or as not sent."""
    day = Rule(RateLimited(47.0, Quota.PER_DAY))
    emulator.set_rules([Rule(BAD_REQUEST, pattern="question 1$"), Rule(Answer(), times=3), day])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(9))
    assert run(dataset=data, max_concurrent=1, max_attempts=1).name == "Incomplete"

    assert checkpoints.main(["--write-csv", "d.jsonl"]) == 0
    assert "9 rows: 5 unsent, 3 answered, 1 invalid_request. CSV: " in capsys.readouterr().out
    lines = read_csv()
    assert [line["id"] for line in lines] == [f"r{n}" for n in range(9)]
    assert [line["response"] for line in lines if line["status"] == "success"] == [
        answer_to(f"question {n}") for n in (0, 2, 3)
    ]
    assert lines[1]["error_message"].startswith("invalid_request: 400")
    assert lines[8]["error_message"] == "unsent: no answer yet; --resume sends it"
    assert run(dataset=data, resume=True, limit=2).is_completed()
    emulator.reset()
    assert configuration.main(["--job", "d.jsonl"]) == 0
    kept = tomllib.loads(capsys.readouterr().out)
    assert (kept["dataset"], kept["limit"], kept["resume"], kept["model"]) == (data, 2, True, MODEL)
    assert configuration.main(["--job", "nothing"]) == 2
    assert "--job nothing: 0 jobs match" in capsys.readouterr().err
    assert checkpoints.main(["--write-csv", "d.jsonl"]) == 0
    assert len(read_csv()) == 9
    assert checkpoints.main(["--write-csv", "nothing"]) == 2
    assert "--write-csv nothing: 0 jobs match; jobs: " in capsys.readouterr().err

    assert checkpoints.main([]) == 0
    assert f"{data} test, {MODEL}" in capsys.readouterr().out
    [job] = [folder for folder in (tmp_path / "storage/gemini-infer/v1").iterdir() if folder.is_dir()]
    lock = JobLock(
        storage_of(LocalFileSystem(basepath=str(tmp_path / "storage"))), f"gemini-infer/v1/{job.name}", "run"
    )
    with lock:
        assert checkpoints.main(["--prune", "0m"]) == 0
        assert "is at work on it" in capsys.readouterr().out
    assert checkpoints.main(["--prune", "0m", "--job", "another"]) == 0
    assert job.exists()
    assert checkpoints.main(["--prune", "0m"]) == 0
    assert not job.exists()
    assert checkpoints.main([]) == 0
    assert "No checkpoints." in capsys.readouterr().out
    assert emulator.stats.requests == 0
