"""What the end of a run says: what was refused, and the way out that fits it."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flows.batch.at_work import note_batches
from flows.endings import batches, way_on
from flows.endings.states import unfinished
from flows.endings.way_on import as_asked
from flows.in_python.caller import calling
from flows.sent import Sent
from tasks.core.checkpoint.groups import GroupRecords, Phase, PlannedRow
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config.parameters import RunConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.planning.attempt import Attempt
from tasks.core.records import Kind
from tasks.core.reporting.tally import Tally


class Deployed:
    """What `prefect.runtime` says within a deployed run."""

    class deployment:
        id = "some deployment"


def test_whoever_typed_no_flag_is_told_of_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Called in Python, and of a form, which has a field of each name; a shell is told of flags."""
    said = "--text-column 'q' is not in d; --no-dedupe sends each; uv sync --extra dask; x--limit"
    named = "text_column 'q' is not in d; dedupe=False sends each; uv sync --extra dask; x--limit"
    assert as_asked(said) == said
    with calling():
        assert as_asked(said) == named
    monkeypatch.setattr(way_on, "runtime", Deployed)
    assert as_asked(said) == named


KEY = "the key is GEMINI_API_KEY, set in "
MODELS = "models this key can use: gemini-a, gemini-b"
V1BETA = "GOOGLE_GENAI_API_VERSION=v1beta"


@pytest.mark.parametrize(
    ("reason", "refusal", "said", "unsaid"),
    [
        (StopReason.REFUSED_MODEL, "404 m is not found for API version v1, or", ["--model", MODELS, V1BETA], [KEY]),
        (StopReason.REFUSED_MODEL, "404 m is not found for API version v1beta", ["--model", MODELS], [V1BETA, KEY]),
        (StopReason.NO_QUOTA, "429 limit: 0", ["this key has no quota for m: 429 limit: 0", "--model"], ["returns"]),
        (StopReason.NO_CREDIT, "429 Your credits are depleted.", ["429 Your credits are depleted.", KEY], ["--model"]),
        (StopReason.REFUSED_KEY, "400 API key not valid.", ["refused the key: 400 API key not valid.", KEY], [MODELS]),
        (StopReason.REFUSED_ENDPOINT, "404 Not Found", ["GOOGLE_GEMINI_BASE_URL", V1BETA], [MODELS, KEY, "--model"]),
        (StopReason.REFUSED_PLACE, "400 User location is not supported.", ["available-regions"], [MODELS, KEY]),
        (StopReason.REFUSED, "400 temperature", ["the API refused m: 400 temperature"], [MODELS, KEY, V1BETA]),
    ],
)
def test_a_refusal_comes_with_the_hint_that_fits(
    reason: StopReason,
    refusal: str,
    said: list[str],
    unsaid: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Never with another's; exit code 2; where answers are saved, how many and how to go on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    Path(".env").write_text("GEMINI_API_KEY=secret")
    sent = Sent(stopped=RunStopped(reason, refusal), models=["gemini-a", "gemini-b"])
    state = unfinished(RunConfig(dataset="d", model="m"), sent, Tally(), 9, None)
    message = state.message or ""
    assert state.name == "Refused"
    assert [words for words in said if words not in message] == []
    assert [words for words in unsaid if words in message] == []
    assert "saved" not in message
    assert "secret" not in message
    assert (f"{KEY}{tmp_path / '.env'}" in message) == (KEY in said)
    later = (
        unfinished(RunConfig(dataset="d", model="m"), sent, Tally(Counter({Kind.ANSWERED: 7})), 9, None).message or ""
    )
    assert "; 7 of 9 rows are saved; continue with: python flows/infer.py --dataset d --model m --resume" in later


@pytest.mark.parametrize(("reason", "waits"), [(StopReason.BUDGET, True), (StopReason.QUOTA, False)])
def test_a_budget_that_jobs_at_work_hold_is_looked_at_again_once_they_have_ended(
    tmp_path: Path, reason: StopReason, waits: bool
) -> None:
    """They free what they have not taken."""
    records = GroupRecords(LocalStorage(tmp_path), "job")
    records.note(records.plan("group", "run-1", [PlannedRow(0, "a", "k", most=1.0)], 1.0), Phase.SUBMITTED, 1.0)
    attempt = SimpleNamespace(
        storage=LocalStorage(tmp_path), run=SimpleNamespace(job="job"), plan=SimpleNamespace(in_flight=1)
    )
    sent = Sent(stopped=RunStopped(reason, "spent"))
    note_batches(sent, cast(Attempt, attempt))
    assert (sent.stopped is None, sent.deferred is not None) == (waits, waits)
    assert sent.batches == "1 batch job with 1 row goes on at Google"


def test_where_no_job_is_at_work_nothing_is_said_of_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run may be stopped while it settles what was only uploaded."""
    monkeypatch.setattr(batches, "tell", lambda ways: None)
    stopped = RunStopped(StopReason.INTERRUPTED, "interrupted")
    message = batches.before_planning(RunConfig(dataset="d", model="m"), stopped, "job", "").message
    assert message == "Interrupted; continue with: python flows/infer.py --dataset d --model m --resume"
