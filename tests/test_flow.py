"""The flow as a whole, in this process: real Prefect, the real SDK, the emulator's API."""

import shutil
from importlib.metadata import distribution, distributions
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deployments.emulator import (
    BAD_IMAGE,
    INVALID_KEY,
    NO_CREDITS,
    NO_QUOTA,
    UNAVAILABLE,
    Answer,
    Blocked,
    Emulator,
    Finish,
    Quota,
    RateLimited,
    Redirect,
    Rule,
    answer_to,
)
from tasks.core.costs.prices import price_of
from tasks.core.details import Usage
from tasks.core.text import money
from tests.media_samples import to_image
from tests.support import CSV, MODEL, RESULT, RunFlow, numbered, read_csv, write_jsonl


def shipped_samples(folder: Path) -> list[dict[str, Any]]:
    """Real data that installed packages ship: country flags (GIF), pictures (PNG), and licence texts."""
    rows: list[dict[str, Any]] = []
    flags = Path(str(distribution("django-countries").locate_file("django_countries/static/flags")))  # without Django
    pictures = Path(str(files("apprise") / "assets" / "themes" / "default"))
    for path in sorted([*flags.glob("*.gif"), *pictures.glob("*.png")]):
        shutil.copy(path, folder / path.name)
        rows.append({"id": path.stem, "input_query": f"What is this, {path.name}?", "image_path": path.name})
    for package in sorted(distributions(), key=lambda d: d.name):
        for file in package.files or []:
            if file.name.upper().startswith("LICENSE") and file.suffix in ("", ".txt", ".md"):
                text = Path(str(file.locate())).read_text(encoding="utf-8", errors="replace")
                rows.append({"id": f"{package.name}/{file.name}", "input_query": text, "image_path": ""})
    return rows


def expected_answer(row: dict[str, Any], folder: Path) -> str:
    if not row["image_path"]:
        return answer_to(row["input_query"])
    image = to_image((folder / row["image_path"]).read_bytes())
    return answer_to(row["input_query"], image.data, image.mime_type)


def test_every_row_of_several_hundred_real_ones_gets_its_own_answer(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Flags, pictures and licences from installed packages: each answer stands in the row that asked for it."""
    rows = shipped_samples(tmp_path)
    assert len(rows) > 350
    pd.DataFrame(rows).to_csv(tmp_path / "data.csv", index=False)

    state = run(dataset=str(tmp_path / "data.csv"), save_every=25, max_concurrent=20)

    assert state.is_completed()
    lines = read_csv()
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert [line["response"] for line in lines] == [expected_answer(row, tmp_path) for row in rows]
    assert [line["has_image"] for line in lines] == [str(bool(row["image_path"])) for row in rows]
    assert {line["status"] for line in lines} == {"success"}
    assert emulator.stats.requests == len({expected_answer(row, tmp_path) for row in rows})
    assert emulator.stats.peak_in_flight <= 20


def test_the_csv_has_one_line_per_sample_in_order_duplicates_included(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Two samples that are the same stay two, with one answer."""
    data = write_jsonl(tmp_path / "d.jsonl", [*numbered(3), *numbered(3)])
    run(dataset=data, save_every=2)
    assert [line["id"] for line in read_csv()] == ["r0", "r1", "r2"] * 2
    assert emulator.stats.answers == 3
    header = (tmp_path / CSV).read_text().splitlines()[0]
    assert header == "id,input_query,has_image,response,status,error_message"


def test_a_row_that_fails_takes_no_other_along(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Blocked, withheld, truncated, empty: each is told in its own row; the others are answered."""
    emulator.set_rules(
        [
            Rule(Blocked("SAFETY"), pattern="question 1$"),
            Rule(Finish("RECITATION"), pattern="question 2$"),
            Rule(Finish("MAX_TOKENS", text="half an ans"), pattern="question 3$"),
            Rule(Answer(text=""), pattern="question 4$"),
        ]
    )
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(6)))
    assert state.is_completed()
    lines = read_csv()
    assert [line["status"] for line in lines] == ["success", "error", "error", "success", "error", "success"]
    assert lines[1]["error_message"].startswith("blocked: block_reason SAFETY")
    assert lines[2]["error_message"].startswith("blocked: finish_reason RECITATION")
    assert lines[3]["response"] == "half an ans"
    assert lines[3]["error_message"].startswith("truncated: finish_reason MAX_TOKENS")
    assert lines[4]["error_message"].startswith("empty: ")
    assert emulator.stats.requests == 6 + 2  # the empty one again


def test_an_image_that_cannot_be_sent_falls_back_to_the_text(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Missing, broken, outside the folder, refused by the API: a success without image that says why."""
    (tmp_path / ".env").write_text("GOOGLE_API_KEY=secret")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "fake.png").write_text("GOOGLE_API_KEY=secret")
    shutil.copy(str(files("apprise") / "assets/themes/default/apprise-info-32x32.png"), folder / "real.png")
    paths = ["gone.png", "fake.png", "../.env", "/etc/passwd", "real.png", "https://example.com/a.png"]
    rows = [{"id": n, "input_query": f"q{n}", "image_path": path} for n, path in enumerate(paths)]
    emulator.set_rules([Rule(BAD_IMAGE, pattern="q4", times=2)])

    run(dataset=write_jsonl(folder / "d.jsonl", rows))

    lines = read_csv()
    assert {line["status"] for line in lines} == {"success"}
    assert {line["has_image"] for line in lines} == {"False"}
    assert all(line["error_message"].startswith("image: ") for line in lines)
    assert [line["response"] for line in lines] == [answer_to(f"q{n}") for n in range(6)]
    assert sum(seen.image_bytes > 0 for seen in emulator.last_requests) == 2

    emulator.set_rules([])
    before = emulator.stats.requests
    assert run(dataset=str(folder / "d.jsonl"), resume=True, retry_errors=["image"]).is_completed()
    assert emulator.stats.requests == before + 6
    assert [line["has_image"] for line in read_csv()].count("True") == 1


def test_a_run_without_a_single_answer_is_no_success(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Nothing in it is worth a re-run, and there is nothing to go on with."""
    emulator.set_rules([Rule(Blocked("SAFETY"))])
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(3)))
    assert (state.name, state.is_failed()) == ("Unanswered", True)
    assert "Not one of 3 rows was answered: 3 blocked" in (state.message or "")


def test_a_sample_with_nothing_to_send_makes_no_request(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Neither text nor image: an error row, free of charge."""
    rows = [{"id": 1, "input_query": "", "image_path": None}, {"id": 2, "input_query": "  ", "image_path": "no.png"}]
    run(dataset=write_jsonl(tmp_path / "d.jsonl", [*rows, {"id": 3, "input_query": "x", "image_path": None}]))
    lines = read_csv()
    assert [line["error_message"].split(":")[0] for line in lines] == ["input", "input", ""]
    assert emulator.stats.requests == 1


@pytest.mark.parametrize("content", ["", '{"id": 1, "input_query": "x"}\n'])
def test_no_rows_give_a_header(run: RunFlow, emulator: Emulator, tmp_path: Path, content: str) -> None:
    """An empty file, or a limit of 0."""
    (tmp_path / "d.jsonl").write_text(content)
    state = run(dataset=str(tmp_path / "d.jsonl"), limit=0)
    assert state.is_completed()
    assert "0 rows" in (state.message or "")
    assert read_csv() == []
    assert emulator.stats.requests == 0


def test_generation_settings_and_system_instruction_reach_the_api(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Only what the user has set is sent."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1))
    run(dataset=data)
    run(
        dataset=data,
        generation_config={"topK": 3},
        temperature=0,
        max_output_tokens=9,
        system_instruction="Be brief.",
        safety="off",
        tools="google_search",
        request_body='{"labels": {"a": "b"}}',
        service_tier="flex",
    )
    plain, shaped = emulator.last_requests
    assert (plain.system, plain.config) == (None, {})
    assert shaped.system == "Be brief."
    assert shaped.config == {"topK": 3, "temperature": 0, "maxOutputTokens": 9}
    assert sorted(shaped.beside) == ["labels", "safetySettings", "serviceTier", "tools"]


def test_what_rows_begin_with_is_cached_while_a_run_lasts_and_its_saving_told(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """See test_cache_prefix.py for what may go wrong."""
    state = run(
        dataset=write_jsonl(tmp_path / "d.jsonl", numbered(20)),
        system_instruction="Answer like the others.\n" * 300,
        prompt_template="Be exact.\n{{ input_query }}",
        cache_prefix=True,
    )
    assert state.is_completed()
    [made] = emulator.caches.made
    assert (emulator.caches.deleted, emulator.caches.alive()) == (1, [])
    assert [line["response"] for line in read_csv()] == [answer_to(f"Be exact.\nquestion {n}") for n in range(20)]
    assert emulator.stats.cached_tokens == 20 * made.tokens
    assert f"{made.tokens:,} tokens that rows begin with are cached until the run ends" in caplog.text
    assert f"cached: {20 * made.tokens:,} of the prompt tokens (" in caplog.text
    price = price_of(MODEL)
    assert price
    whole, cheaper = (price.dollars(Usage(20 * made.tokens, cached_tokens=n)) for n in (0, 20 * made.tokens))
    assert f"; cached tokens saved {money(whole - cheaper)}, before what keeping them costs (prices" in caplog.text


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"text_column": "nope"}, "--text-column 'nope' is not in"),
        ({"image_column": "nope"}, "columns: id, input_query"),
        ({"split": "test["}, "split 'test['"),
        ({"dataset": "./nowhere.csv"}, "DatasetNotFoundError: './nowhere.csv' does not exist"),
        ({"output_dir": "/proc/nowhere"}, "--output-dir /proc/nowhere"),
    ],
)
def test_bad_input_starts_nothing(
    run: RunFlow, emulator: Emulator, tmp_path: Path, parameters: dict[str, Any], message: str
) -> None:
    """One clear line, in the state of the flow run."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1))
    state = run(**{"dataset": data, **parameters})
    assert state.name == "Refused"
    assert message in (state.message or "")
    assert "\n" not in (state.message or "")
    assert emulator.stats.requests == 0


def test_without_a_key_nothing_starts(run: RunFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message that the users of this tool look for."""
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(1)))
    assert state.message == "ValueError: GOOGLE_API_KEY is not set in .env file"


def test_a_refused_key_is_found_out_with_the_first_answer(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """1,000 rows cost no more requests than may be in flight, and none of them counts as failed for good."""
    emulator.set_rules([Rule(INVALID_KEY)])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(1000))
    state = run(dataset=data, max_concurrent=4)
    assert state.name == "Refused"
    assert "the API refused the key: 400 INVALID_ARGUMENT API key not valid" in (state.message or "")
    assert "the key is GOOGLE_API_KEY, set in the environment" in (state.message or "")
    assert "models this key" not in (state.message or "")
    assert emulator.stats.requests <= 4
    emulator.set_rules([])
    assert run(dataset=data, resume=True, limit=20).is_completed()
    assert emulator.stats.answers == 20


def test_an_unknown_model_is_told_with_those_the_key_can_use(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """The way out stands beside the refusal."""
    state = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(9)), model="gemini-0-nano")
    assert state.name == "Refused"
    assert "choose another with --model; models this key can use: " in (state.message or "")
    assert MODEL in (state.message or "")
    assert "GOOGLE_GENAI_API_VERSION=v1beta" in (state.message or "")


def test_an_account_that_is_spent_ends_the_run_at_once_and_never_puts_it_off(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the API's own sentence and what is saved; who answered in the model's place is told, once, and counted."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(30))
    emulator.set_rules([Rule(Answer(beside={"modelVersion": "gemini-9"}), times=5), Rule(NO_CREDITS)])
    state = run(dataset=data, max_concurrent=2)
    assert state.name == "Refused"
    assert "Your prepayment credits are depleted." in (state.message or "")
    assert "5 of 30 rows are saved" in (state.message or "")
    assert emulator.stats.requests <= 5 + 2
    assert caplog.messages.count(f"{MODEL} is answered by gemini-9") == 1
    emulator.set_rules([Rule(NO_QUOTA)])
    state = run(dataset=data, max_concurrent=2, resume=True)
    assert (state.name, state.type.name) == ("Refused", "FAILED")
    assert f"this key has no quota for {MODEL}: 429" in (state.message or "")
    emulator.set_rules([])
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.answers == 30
    assert "model: answered by gemini-9, not by the model asked for: 5 rows" in caplog.messages


def test_resume_sends_only_what_has_no_finished_answer(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Another chunk size, edited, inserted, deleted, moved rows: one rule."""
    rows = numbered(20)
    path = tmp_path / "d.jsonl"
    run(dataset=write_jsonl(path, rows), save_every=3)
    edited = [rows[19], *numbered(2, first=50), *rows[5:15], {"id": "r3", "input_query": "another question"}]
    state = run(dataset=write_jsonl(path, edited), save_every=7, resume=True)
    assert state.is_completed()
    assert emulator.stats.answers == 20 + 3
    assert [line["response"] for line in read_csv()] == [answer_to(row["input_query"]) for row in edited]
    run(dataset=write_jsonl(path, rows), resume=True)
    assert emulator.stats.answers == 23


def test_a_smaller_limit_loses_nothing_for_a_larger_one(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """Answers that a resumed run does not need stay in the checkpoint."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(30))
    run(dataset=data)
    run(dataset=data, resume=True, limit=5)
    run(dataset=data, resume=True, limit=25, save_every=4)
    assert emulator.stats.answers == 30
    assert len(read_csv()) == 25


def test_rows_that_failed_for_a_passing_reason_are_sent_again_alone(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """The run ends Failed and says how many; the CSV is there; --resume sends just those."""
    emulator.set_rules([Rule(UNAVAILABLE, pattern="question [37]$"), Rule(Blocked(), pattern="question 5$")])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(10))
    state = run(dataset=data, max_attempts=1)
    assert (state.name, state.is_failed()) == ("Incomplete", True)
    assert "2 rows can be sent again" in (state.message or "")
    assert [line["id"] for line in read_csv() if line["error_message"].startswith("server_error: 503")] == ["r3", "r7"]
    before = emulator.stats.requests
    emulator.set_rules([])
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.requests - before == 2
    assert [line["status"] for line in read_csv()].count("success") == 9
    assert run(dataset=data, resume=True, retry_errors=["blocked"]).is_completed()
    assert emulator.stats.requests - before == 3
    assert [line["status"] for line in read_csv()].count("success") == 10
    run(dataset=data, resume=True)
    assert emulator.stats.requests - before == 3


def test_changed_settings_reuse_nothing_and_say_so(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer at another temperature is another answer; going back finds the old ones again."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(5))
    run(dataset=data)
    run(dataset=data, resume=True, generation_config={"temperature": 1})
    assert "5 to send (5 changed); the model or generation settings changed" in caplog.text
    assert emulator.stats.answers == 10
    run(dataset=data, resume=True)
    assert emulator.stats.answers == 10


def test_a_rerun_of_the_same_flow_run_continues_its_own_checkpoint(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Flow retries need no `resume`: what the first attempt was answered is not asked again."""
    from flows.infer import infer

    emulator.set_rules([Rule(UNAVAILABLE, pattern="question 4$", times=1)])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(8))
    state = infer.with_options(retries=1, retry_delay_seconds=0)(dataset=data, max_attempts=1, return_state=True)
    assert state.is_completed()
    assert emulator.stats.answered_more_than_once == {}
    assert emulator.stats.answers == 8


def test_a_better_csv_is_not_replaced_by_an_unfinished_one(run: RunFlow, emulator: Emulator, tmp_path: Path) -> None:
    """The run that came out worse writes beside it."""
    data = write_jsonl(tmp_path / "d.jsonl", numbered(6))
    run(dataset=data)
    good = read_csv()
    emulator.set_rules([Rule(UNAVAILABLE, pattern="question 2$")])
    state = run(dataset=data, max_attempts=1)
    assert read_csv() == good
    assert "_unfinished.csv" in (state.message or "")
    assert len(read_csv(f"result/{RESULT}_unfinished.csv")) == 6


def test_a_spent_daily_quota_stops_the_run_and_keeps_everything(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """No hammering: what was in flight is all that was refused, and the rest waits for --resume."""
    emulator.set_rules([Rule(Answer(), times=10), Rule(RateLimited(47.0, Quota.PER_DAY))])
    data = write_jsonl(tmp_path / "d.jsonl", numbered(100))
    state = run(dataset=data, max_concurrent=5)
    assert (state.name, state.is_failed()) == ("Incomplete", True)
    assert emulator.stats.requests <= 10 + 5
    assert not (tmp_path / CSV).exists()
    emulator.set_rules([])
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.answers == 100


def test_an_api_that_is_gone_stops_the_run_instead_of_failing_every_row(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Once the API is back, --resume goes on."""
    emulator.set_outage(UNAVAILABLE)
    data = write_jsonl(tmp_path / "d.jsonl", numbered(500))
    state = run(dataset=data, give_up_seconds=0.5)
    assert state.name == "Incomplete"
    assert "api_down: no answer for" in (state.message or "")
    assert "0 of 500 rows are saved; continue with: " in (state.message or "")
    emulator.set_outage(None)
    assert run(dataset=data, resume=True).is_completed()
    assert emulator.stats.answers == 500


def test_a_rerun_that_has_nothing_of_its_own_does_not_take_up_an_older_run(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Without `resume` a flow run asks everything anew, in its retries too."""
    from flows.infer import infer

    data = write_jsonl(tmp_path / "d.jsonl", numbered(4))
    run(dataset=data)
    emulator.set_rules([Rule(RateLimited(1.0, Quota.PER_DAY), times=10)])
    state = infer.with_options(retries=1, retry_delay_seconds=0)(dataset=data, max_concurrent=10, return_state=True)
    assert state.name == "Incomplete"
    assert emulator.stats.answers == 4


def test_a_failed_run_set_to_retry_on_the_server_sends_only_what_was_open(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """As the UI's Retry does it: the same flow run, the same parameters, its second go."""
    from prefect import get_client
    from prefect.flow_engine import run_flow
    from prefect.states import AwaitingRetry

    from flows.infer import infer

    emulator.set_rules([Rule(UNAVAILABLE, pattern="question [59]$")])
    failed = run(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(10)), save_every=4, max_attempts=1)
    assert failed.name == "Incomplete"
    emulator.set_rules([])
    flow_run_id = failed.state_details.flow_run_id
    assert flow_run_id
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run_id, AwaitingRetry())
        again = run_flow(infer, flow_run=client.read_flow_run(flow_run_id), return_type="state")
        assert client.read_flow_run(flow_run_id).run_count == 2
    assert again.is_completed()  # type: ignore[union-attr]
    assert emulator.stats.answers == 10
    assert emulator.stats.answered_more_than_once == {}
    assert len(read_csv()) == 10


def test_a_redirect_ends_the_run_and_an_endpoint_that_is_not_googles_is_named_at_its_start(
    run: RunFlow, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says where key and prompts go and which `.env` says so; where that host sends us on, nobody goes."""
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL")
    (tmp_path / ".env").write_text(f"GOOGLE_GEMINI_BASE_URL={emulator.url}")
    data = write_jsonl(tmp_path / "d\x1b[2J.jsonl", numbered(30))
    with Emulator().in_thread() as other:
        location = f"{other.url}/v1/models/{MODEL}:generateContent"
        emulator.set_rules([Rule(Redirect(f"{location}?key=k"))])
        state = run(dataset=data, max_concurrent=5)
        assert other.stats.requests == 0
    assert state.name == "Refused"
    assert state.message
    assert f"the API refused {MODEL}: 307 redirected to {location}" in state.message
    assert "check GOOGLE_GEMINI_BASE_URL" in state.message
    assert emulator.stats.requests <= 5
    where = f"The key and the prompts go to {emulator.url} and not to Google: GOOGLE_GEMINI_BASE_URL is set in "
    assert [m for m in caplog.messages if "not to Google" in m] == [where + str(tmp_path / ".env")]
    assert not any("\x1b" in text for text in (*caplog.messages, state.message))
