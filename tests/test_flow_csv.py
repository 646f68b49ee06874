"""The flow and the CSVs that are there already: what is kept, what is said, what it costs."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from deployments.emulator import Answer, Emulator, Rule
from flows.commands.reports import report
from tasks.core.config.parameters import RunConfig
from tasks.core.files.own_results import records_of
from tests.push_hub import TOKEN, PushHub
from tests.support import CSV, MODEL, REPORT, RESULT, RunFlow, numbered, read_csv, write_jsonl
from tests.test_html_report import rows_in


@contextmanager
def files_at_most(count_bytes: int) -> Iterator[None]:
    """As on a disk that is full, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_csv_that_cannot_be_written_is_one_line_and_costs_nothing(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason, what is saved, and the command that writes it: no request goes out again, the folder is made anew."""
    emulator.set_rules([Rule(Answer(text="long " * 500))])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(60))
    with files_at_most(100_000):
        state = run(dataset=data)
    assert (state.name, state.is_failed()) == ("Incomplete", True)
    path = tmp_path / "result" / f"{RESULT}.csv"
    assert state.message == (
        f"{path} cannot be written: File too large; all 60 rows are saved in the checkpoint and no answer is paid for "
        f"again; write it with: python flows/infer.py --dataset {data} --resume"
    )
    assert not [record for record in caplog.records if record.exc_info]
    assert list(path.parent.iterdir()) == []
    path.parent.rmdir()
    path.parent.write_text("a file in place of the folder")
    refused = run(dataset=data, resume=True)
    assert "--output-dir" in (refused.message or "")
    path.parent.unlink()
    assert run(dataset=data, resume=True).is_completed()
    assert len(read_csv()) == 60
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert emulator.stats.requests == 60


def test_results_below_the_data_folder_are_never_paid_for(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Five rows stay five, and one line names what is not read; a run over its own result is refused."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(write_jsonl(tmp_path / "d.jsonl", numbered(5)), folder / "test.jsonl")
    for model in (MODEL, MODEL, "gemini-2.5-pro"):
        assert run(dataset=str(folder), output_dir="data/result", resume=True, model=model).is_completed()
        assert len(read_csv(folder / f"result/{model}_test_result.csv")) == 5
    assert emulator.stats.requests == 10
    results = f"{REPORT}, {RESULT}.csv, {RESULT}.parquet"
    assert f"Not read as data: 3 results of earlier runs ({results})" in caplog.text
    [row, *_] = pq.read_table(folder / f"result/{RESULT}.parquet").to_pylist()
    assert (row["finish_reason"], row["attempts"], row["model_version"], row["prompt_tokens"]) == ("STOP", 1, MODEL, 3)
    assert (bool(row["response_id"]), row["settings"]) == (True, RunConfig().generation.fingerprint)
    assert row["dollars"] > 0 < row["latency_seconds"]
    state = run(dataset=f"data/result/{RESULT}.csv", output_dir="data/result", image_column="")
    assert state.name == "Refused"
    assert "choose another --output-dir than data/result" in (state.message or "")
    assert run(dataset=f"data/result/{RESULT}.csv", text_column="response").is_completed()
    assert emulator.stats.requests == 15


def test_what_a_demo_makes_up_is_never_a_result(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Neither in the CSV nor in the checkpoint that `--resume` reads; and it hides no answer that was paid for."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(4))
    assert run(dataset=data, demo=True).is_completed()
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.requests == 4
    real = read_csv()
    shown = [
        (row["id"], row["prompt"], row["sides"][0]["answer"]) for row in rows_in(Path("result", REPORT).read_text())
    ]
    assert shown == [(line["id"], line["input_query"], line["response"]) for line in real]
    assert run(dataset=data, demo=True).is_completed()
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.requests == 4
    assert read_csv() == real
    assert len(read_csv(f"result/demo/{RESULT}.csv")) == 4


def test_what_a_run_moves_aside_is_told_in_its_log_and_its_last_line(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A shorter run, and another data set with the same name for its CSV."""
    one = write_jsonl(tmp_path / "one.jsonl", numbered(12))
    two = write_jsonl(tmp_path / "two.jsonl", numbered(3))
    run(dataset=one)
    for dataset, limit, why in [(one, 5, "has 7 answers that this run has not"), (two, None, f"is a result of '{one}")]:
        state = run(dataset=dataset, limit=limit)
        assert state.is_completed()
        for said in (state.message or "", caplog.text):
            assert f"the CSV that was there {why}" in said
            assert f"it is now {RESULT}.one." in said
    run(dataset=one, resume=True)
    assert sorted(len(read_csv(path)) for path in Path("result").glob("*.csv")) == [3, 5, 12, 12]
    assert len(read_csv()) == 12


def test_a_push_that_fails_loses_nothing_and_is_made_up_for_without_a_request(
    run: RunFlow, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last line says how; a demo's answers are nobody's to push."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(3))
    assert "what a demo makes up is no result" in str(run(demo=True, push_to_hub="org/set").message)
    monkeypatch.setenv("HUGGINGFACE_TOKEN", TOKEN)
    with PushHub().running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        hub.refuse = "/repos/create"
        state = run(dataset=data, push_to_hub="org/set")
        assert (state.name, len(read_csv())) == ("Incomplete", 3)
        assert "not pushed to org/set: " in str(state.message)
        assert "this token may not write" in str(state.message)
        again = f"push them again with: python flows/infer.py --dataset {data} --push-to-hub org/set --resume"
        assert again in str(state.message)
        hub.refuse = ""
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        with pytest.warns(DeprecationWarning, match="Use 'content="):  # of the Hub's own library
            assert run(dataset=data, push_to_hub="org/set", resume=True).is_completed()
        assert hub.sets["org/set"].private
        assert b"3 rows of" in hub.sets["org/set"].files["README.md"]
    assert emulator.stats.requests == 3


def test_a_report_that_cannot_be_written_costs_nothing_but_itself(
    run: RunFlow,
    emulator: Emulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The run ends as it would, and says so; `gemini-infer report` makes it of the checkpoint, without a request."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(3))
    with files_at_most(60_000):
        assert run(dataset=data).is_completed()
    assert "the HTML report, which gemini-infer report makes again, could not be written: [Errno 27]" in caplog.text
    assert not Path("result", REPORT).exists()
    assert (report(["d.jsonl"]), report([])) == (0, 0)
    page = tmp_path / "result" / REPORT
    assert capsys.readouterr().out == f"3 rows: 3 answered. Report: {page}\n" * 2
    assert [row["prompt"] for row in rows_in(page.read_text())] == ["question 0", "question 1", "question 2"]
    assert records_of(page)[0].written == records_of(tmp_path / CSV)[0].written
    assert report(["another"]) == 2
    assert emulator.stats.requests == 3
