"""Rows that ask the same: sent once, answered all."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import State
from prefect.states import Completed

from deployments.emulator import Emulator, HttpError, Rule, answer_to
from flows.sent import Sent
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.checkpoint.contents import pack
from tasks.core.checkpoint.table.repeats import Claims
from tasks.core.config.limits import LimitsConfig
from tasks.core.details import Usage
from tasks.core.errors import ApiError
from tasks.core.prompts.prepare import Preparer
from tasks.core.prompts.prompting import PROMPT, Prompting
from tasks.core.prompts.template import Template
from tasks.core.records import Kind, ModelOutput, Repeat, Request, RowAnswer, Sample
from tests.media_samples import IMAGES
from tests.samples import GENERATION, PREPARER, OnePerRow
from tests.support import RunFlow, numbered, read_csv, write_jsonl

PNG, JPEG = IMAGES["image/png"], IMAGES["image/jpeg"]


class Counting:
    """A model that fails `failures` times, and then answers."""

    def __init__(self, failures: int = 0) -> None:
        self.requests: list[Request] = []
        self.failures = failures

    async def generate(self, request: Request) -> ModelOutput:
        self.requests.append(request)
        if len(self.requests) <= self.failures:
            raise ApiError(503, "UNAVAILABLE", "busy")
        return ModelOutput("text", "STOP", usage=Usage(3, 4))

    async def list_models(self) -> list[str]:
        return []

    async def close(self) -> None: ...


def done(state: State[Any]) -> Any:
    """A future of a chunk that has ended so."""
    return SimpleNamespace(wait=lambda: None, state=state)


async def come(model: Counting, images: list[bytes], **limits: int) -> tuple[list[RowAnswer | Repeat], float]:
    config = LimitsConfig(**{"max_concurrent": 2, "timeout_seconds": 5} | limits)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    answerer = OnlineAnswerer(model, config, claims=Claims(), clock=lambda: sum(slept), sleep=sleep, random=lambda: 1.0)
    items = [
        Item(Sample(n, f"i{n}", "what is it?"), PREPARER, OnePerRow(images.__getitem__)) for n in range(len(images))
    ]
    arrived = sorted([one async for one in answerer.answer("chunk", items)], key=lambda one: one.row)
    return arrived, sum(slept)


async def test_equal_media_are_sent_once_and_take_nothing_of_the_minute() -> None:
    """In flight at once, or long after; three requests would be more than the minute has."""
    model = Counting()
    await come(model, [PNG, PNG, JPEG, PNG], max_concurrent=4)
    assert len(model.requests) == 2
    arrived, waited = await come(model, [PNG, PNG, JPEG], max_concurrent=1, rpm=2)
    assert len(model.requests) == 4
    assert waited == 0
    leaders = {one.row: one for one in arrived if isinstance(one, RowAnswer)}
    assert len(leaders) == 2
    for one in arrived:
        if isinstance(one, Repeat):
            assert one.key == leaders[one.of].key


async def test_a_row_that_is_tried_again_repeats_nobody() -> None:
    """It has asked first itself."""
    model = Counting(failures=2)
    [answer, repeat], _ = await come(model, [PNG, PNG])
    assert isinstance(answer, RowAnswer)
    assert answer.kind is Kind.ANSWERED
    assert repeat == Repeat(1, "i1", answer.key, of=0)
    assert len(model.requests) == 3


def test_a_row_that_cannot_be_rendered_shares_with_none_that_can() -> None:
    """Its text stands in for the prompt that it has not got, and another row may ask just that."""
    prompting = Prompting("q", template=Template("{{ 10 // q }}", PROMPT))
    preparer = Preparer(GENERATION, prompting.draft_of)
    cells: list[tuple[str, object]] = [("5", 0), ("5", 2), ("x", 0)]
    broken, sound, other = (preparer.prepare(Sample(0, "", text, {"q": q}), None) for text, q in cells)
    assert broken.fault
    assert broken.request == sound.request
    assert broken.key not in (sound.key, other.key)


def test_a_clusters_process_says_which_rows_repeat_others() -> None:
    """Beside the answers of its chunk."""
    repeat = Repeat(3, "i3", "k", of=1)
    answer = RowAnswer(1, "i1", "k", Kind.ANSWERED)
    value = pack([answer]) | {"repeats": [[3, "i3", "k", 1]]}
    assert Sent().collect(done(Completed(data=value))) == [answer, repeat]


def test_thirty_percent_of_duplicates_cost_thirty_percent_less(
    run: RunFlow, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Over chunks, in one run; each row has its own line. A row that is added asks nothing that was asked."""
    rows = [*numbered(70), *({"id": f"again {n}", "input_query": f"question {n % 35}"} for n in range(30))]
    data = write_jsonl(tmp_path / "d.jsonl", rows[35:] + rows[:35])
    assert run(dataset=data, max_concurrent=20).is_completed()
    assert emulator.stats.requests == 70
    found = read_csv()
    assert [line["id"] for line in found] == [row["id"] for row in rows[35:] + rows[:35]]
    assert all(line["response"] == answer_to(line["input_query"]) for line in found)
    assert "30 rows answered by the request of an equal one; saved tokens: " in caplog.text
    assert " for 70 rows" in caplog.text

    write_jsonl(
        tmp_path / "d.jsonl", [{"id": "new", "input_query": "question 3"}, *rows, *numbered(2, first=70), rows[0]]
    )
    assert run(dataset=data, resume=True).is_completed()
    assert "102 rows reused from the checkpoint, 2 to send" in caplog.text
    assert emulator.stats.requests == 72
    assert read_csv()[0]["response"] == answer_to("question 3")
    run(dataset=data, resume=True, dedupe=False)
    assert emulator.stats.requests == 72 + 32
    run(dataset=data)
    assert emulator.stats.requests == 72 + 32 + 72


def test_equal_images_are_sent_once_and_a_failure_is_every_rows_own_to_retry(
    run: RunFlow, emulator: Emulator, tmp_path: Path
) -> None:
    """Which rows ask the same shows only when the files are read, and these have other names."""
    names = [f"{n}.png" for n in range(10)]
    for n, name in enumerate(names):
        (tmp_path / name).write_bytes(IMAGES["image/png"] if n % 2 else IMAGES["image/jpeg"])
    rows = [{"id": name, "input_query": "what is it?", "image_path": name} for name in names]
    data = write_jsonl(tmp_path / "d.jsonl", rows)
    emulator.set_rules([Rule(HttpError(500, "broken"))])
    run(dataset=data, save_every=3, max_attempts=1, give_up_seconds=5)
    emulator.set_rules([])
    emulator.reset()
    assert run(dataset=data, save_every=3, resume=True).is_completed()
    assert emulator.stats.requests == 2
    found = read_csv()
    assert [line["id"] for line in found] == names
    assert {line["status"] for line in found} == {"success"}
    emulator.reset()
    assert run(dataset=data, save_every=3, output_dir="other").is_completed()
    assert emulator.stats.requests == 2
    assert read_csv("other/gemini-3.5-flash-lite_test_result.csv") == found
