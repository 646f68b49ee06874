"""`--dry-run`: what a run would take and cost, beside what it then does. Nothing is sent that costs."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOCAL_STORAGE_PATH, temporary_settings

from deployments.emulator import UNAVAILABLE, Emulator
from flows.cli import main
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.checkpoint.groups import GroupRecords, Phase, PlannedRow
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config.limits import LimitsConfig
from tasks.core.config.parameters import RunConfig
from tasks.core.costs.estimate import UNKNOWN_LATENCY, Estimate, Range
from tasks.core.costs.prices import price_of
from tasks.core.data.reader import open_reader
from tasks.core.data.sources import resolve
from tasks.core.details import Usage
from tasks.core.gemini.client import GeminiClient
from tasks.core.planning.job import job_of
from tasks.core.planning.next_attempt import prompting_of
from tasks.core.planning.sample_keys import sample_keys
from tasks.core.prompts.prepare import Preparer
from tests.support import write_jsonl
from tests.test_prompts import picture

ROWS = 120
MOST = ["--max-output-tokens", "60"]


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStorage]:
    monkeypatch.chdir(tmp_path)
    with temporary_settings({PREFECT_API_URL: None, PREFECT_LOCAL_STORAGE_PATH: tmp_path / "storage"}):
        yield LocalStorage(tmp_path / "storage")


class Told(NamedTuple):
    """Of a dry run: tokens of prompts and of answers, and dollars by the way that rows are sent."""

    prompts: tuple[float, float]
    answers: tuple[float, float]
    dollars: dict[str, tuple[float, float]]
    text: str


@pytest.fixture
def dry_run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def told(*flags: str) -> Told:
        assert main(lambda: pytest.fail("no flow is needed"), [*flags, "--dry-run"]) == 0
        text = capsys.readouterr().out
        found = dict(re.findall(r"^(prompts|answers): (.*? to .*?) tokens", text, re.MULTILINE))
        low_high = {
            name: tuple(float(n.replace(",", "")) for n in words.split(" to ")) for name, words in found.items()
        }
        dollars = {
            way: (float(low), float(high or low))
            for way, low, high in re.findall(r"^(\w+) .*? \$([\d.]+)(?: to \$([\d.]+))?", text, re.MULTILINE)
        }
        return Told(low_high["prompts"], low_high["answers"], dollars, text)  # type: ignore[arg-type]

    return told


def short(n: int) -> dict[str, Any]:
    return {"input_query": f"Is {n} a prime number? Say yes or no, and why."}


def korean(n: int) -> dict[str, Any]:
    return {"input_query": f"{n}번째 문장을 영어로 옮기고, 어떤 뜻인지 두 문장으로 설명해 주세요. " * (1 + n % 4)}


def long(n: int) -> dict[str, Any]:
    return {"input_query": f"Sentence {n} of a long report on the weather of the last year. " * (50 + 37 * n % 400)}


def with_image(n: int) -> dict[str, Any]:
    return {"input_query": f"What is in picture {n}?", "image_path": "a.png"}


KINDS = {"short": short, "korean": korean, "long": long, "images": with_image, "template": short}
TEMPLATE = ["--prompt-template", "Question: {{ input_query }}\nAnswer:", "--system-instruction", "You are terse. " * 20]


def data_of(kind: str, folder: Path) -> list[str]:
    """The flags of a run on `ROWS` rows of that kind."""
    (folder / "a.png").write_bytes(picture("a"))
    rows = [{"id": str(n), **KINDS[kind](n)} for n in range(ROWS)]
    flags = ["--dataset", write_jsonl(folder / "d.jsonl", rows), *MOST]
    return [*flags, *TEMPLATE] if kind == "template" else flags


async def answer_all(config: RunConfig) -> None:
    """As a run does it, without what a run is beside."""
    data = resolve(config)
    reader, preparer = open_reader(data), Preparer(config.generation, prompting_of(config, data).draft_of)
    answerer = OnlineAnswerer(GeminiClient(config.generation), config.limits)
    items = [Item(sample, preparer, reader.media) for sample in reader.samples(range(data.rows))]
    async for _ in answerer.answer("chunk", items):
        pass
    await answerer.close()


def config_of(flags: list[str]) -> RunConfig:
    names = [flag.removeprefix("--").replace("-", "_") for flag in flags[::2]]
    return RunConfig.model_validate(dict(zip(names, flags[1::2], strict=True)))


@pytest.mark.parametrize("key", [True, False], ids=["counted", "by length"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_run_then_takes_lies_in_the_range(
    kind: str,
    key: bool,
    emulator: Emulator,
    dry_run: Callable[..., Told],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a key the API counts some of the prompts, and the range is narrow; without one it is wide, and says why."""
    flags = data_of(kind, tmp_path)
    if not key:
        monkeypatch.delenv("GOOGLE_API_KEY")
    told = dry_run(*flags)
    assert emulator.stats.requests == 0
    monkeypatch.setenv("GOOGLE_API_KEY", "key")
    asyncio.run(answer_all(config_of(flags)))

    stats, price = emulator.stats, price_of("gemini-3.5-flash-lite")
    assert price
    true = price.dollars(Usage(stats.prompt_tokens, stats.output_tokens))
    assert told.prompts[0] <= stats.prompt_tokens <= told.prompts[1]
    assert told.answers[0] <= stats.output_tokens <= told.answers[1]
    assert told.dollars["online"][0] <= true <= told.dollars["online"][1]
    assert told.dollars["flex"][1] == pytest.approx(told.dollars["online"][1] / 2, rel=0.1)
    print(kind, key, told.prompts, stats.prompt_tokens, told.answers, stats.output_tokens, told.dollars["online"], true)
    assert told.dollars["batch"][1] == pytest.approx(told.dollars["online"][1] / 2, rel=0.1)
    if key:
        assert told.prompts[1] <= 1.35 * told.prompts[0]
        assert "by countTokens of 50 rows" in told.text
    else:
        assert "countTokens was not asked: no key is set" in told.text


def test_an_endpoint_that_does_not_count_costs_the_estimate_nothing(
    emulator: Emulator, dry_run: Callable[..., Told], tmp_path: Path
) -> None:
    emulator.set_outage(UNAVAILABLE)
    told = dry_run(*data_of("short", tmp_path))
    assert "by their length, for countTokens was not asked" in told.text
    assert told.prompts[0] < told.prompts[1]


def test_a_run_lasts_as_long_as_its_tightest_limit() -> None:
    """Requests in flight and their latency, requests or tokens a minute; what is not known is a range."""
    estimate = Estimate(600, Range(60_000.0, 90_000.0), Range(600.0, 600.0))
    limits = LimitsConfig(max_concurrent=10, timeout_seconds=60)
    known = Range(2.0, 2.0)
    assert estimate.seconds(limits, known) == (120.0, 120.0)
    assert estimate.seconds(limits, UNKNOWN_LATENCY) == (60.0, 1200.0)
    assert estimate.seconds(limits.model_copy(update={"rpm": 60}), known) == (600.0, 600.0)
    assert estimate.seconds(limits.model_copy(update={"tpm": 10_000}), known) == (360.0, 540.0)


def test_the_ways_stand_side_by_side_with_what_auto_takes(
    emulator: Emulator, dry_run: Callable[..., Told], tmp_path: Path
) -> None:
    """And why: here an hour is not left, and who knows whether this endpoint has flex."""
    lines = dry_run(*data_of("short", tmp_path), "--max-concurrent", "60").text.splitlines()
    [online, flex, batch] = [line for line in lines if re.match("online|flex|batch", line)]
    assert ("2 s to 40 s" in online, "2.0 min to 30.0 min" in flex, "5.0 min to 24.0 h" in batch) == (True,) * 3
    assert [line.endswith("--mode auto") for line in (online, flex, batch)] == [False, False, True]
    assert "--mode auto takes batch: 50% cheaper, and without --deadline it may take a day" in lines
    text = dry_run(*data_of("short", tmp_path), "--deadline", "30m").text
    assert "--mode auto takes online: no batch: --deadline 30m leaves less than an hour; no flex: http://" in text
    assert emulator.stats.requests == 0


def test_rows_in_batch_jobs_are_not_to_be_sent(
    emulator: Emulator, dry_run: Callable[..., Told], storage: LocalStorage, tmp_path: Path
) -> None:
    """By a run that resumes; another pays for them again."""
    flags = data_of("short", tmp_path)
    config = config_of(flags)
    data = resolve(config)
    keys = sample_keys(data, Preparer(config.generation, prompting_of(config, data).draft_of))
    rows = [PlannedRow(row, id, key) for row, (key, id) in zip(range(20), keys, strict=False)]
    records = GroupRecords(storage, job_of(config))
    records.note(records.plan("group", "run-1", rows, 1.0), Phase.SUBMITTED, 1.0)
    resumed = dry_run(*flags, "--resume").text
    assert "\n100 rows to send, 0 reused\n20 rows in batch jobs that have not ended" in resumed
    assert "Nothing to resume" not in resumed
    fresh = dry_run(*flags).text
    assert ("120 rows to send" in fresh, "batch jobs that" in fresh) == (True, False)
