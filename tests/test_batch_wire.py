"""Batch jobs against the emulator: what goes wrong in the field, one by one, over the real wire."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientTimeout

from deployments.emulator import BAD_IMAGE, BatchFault, BatchLimits, Emulator, FaultKind, JobState, Rule, answer_to
from deployments.emulator.batch_jobs import Job
from tasks.core.answering.batch import flight
from tasks.core.answering.batch.answerer import BatchAnswerer
from tasks.core.answering.batch.bounds import Bounds
from tasks.core.answering.batch.groups import Groups
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.checkpoint.groups import GroupRecords
from tasks.core.checkpoint.storage import LocalStorage
from tasks.core.config.batch import Leftovers
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.errors import RunStopped, StopReason
from tasks.core.gemini import batches
from tasks.core.gemini.batches import GeminiBatches
from tasks.core.gemini.client import GeminiClient
from tasks.core.media.uploads import Uploads
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind, RowAnswer, Sample
from tests.media_samples import picture
from tests.readers import OneCell

GENERATION = GenerateConfig(model="gemini-2.5-flash")
PREPARER = Preparer(GENERATION)
ROWS = 4
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None: ...

    monkeypatch.setattr(GeminiBatches.__init__, "__kwdefaults__", {"sleep": sleep})


@asynccontextmanager
async def answering(
    emulator: Emulator, folder: Path, leftovers: Leftovers = Leftovers.OPEN, **options: Any
) -> AsyncIterator[BatchAnswerer]:
    """In the emulator's time, which passes only by waiting."""

    async def sleep(seconds: float) -> None:
        emulator.forward(seconds)
        await asyncio.sleep(0)

    client = GeminiClient(GENERATION)
    uploads = Uploads(client.files)
    records = GroupRecords(LocalStorage(folder / "storage"), "job")
    groups = Groups(client.batches, records, folder, "mark", clock=emulator.now, sleep=sleep)
    online = OnlineAnswerer(client, LimitsConfig(max_concurrent=4, timeout_seconds=10))
    limits = flight.BatchLimits(Bounds(rows=options.pop("group_rows", 10)), **options)
    answerer = BatchAnswerer(groups, "run-1", uploads.sendable, folder, lambda: online, limits, leftovers)
    try:
        yield answerer
    finally:
        await answerer.close()
        await client.close()


def items(count: int = ROWS, media: Any = None) -> list[Item]:
    reader = OneCell(media) if media else None
    return [Item(Sample(n, str(n), f"p{n}"), PREPARER, reader) for n in range(count)]


async def answers(answerer: BatchAnswerer, some: Iterable[Item]) -> list[RowAnswer]:
    found = [answer async for answer in answerer.answer("chunk", some) if isinstance(answer, RowAnswer)]
    return sorted(found, key=lambda answer: answer.row)


FAULTS = {
    fault_id: BatchFault(kind, **options)
    for fault_id, kind, options in (
        ("create 503, made", FaultKind.CREATE_UNCLEAR, {"code": 503}),
        ("create 503, not made", FaultKind.CREATE_REFUSED, {"code": 503}),
        ("create dropped, made", FaultKind.CREATE_UNCLEAR, {}),
        ("create dropped, not made", FaultKind.CREATE_REFUSED, {}),
        ("create takes effect a minute late", FaultKind.CREATE_UNCLEAR, {"seconds": 60}),
        ("create takes effect an hour late", FaultKind.CREATE_UNCLEAR, {"seconds": 3600}),
        ("create 429", FaultKind.CREATE_REFUSED, {"code": 429}),
        ("listed late", FaultKind.LISTED_LATE, {"seconds": 500}),
        ("get 503 for hours", FaultKind.GET_FAILS, {"code": 503, "times": None}),
        ("list 503", FaultKind.LIST_FAILS, {"code": 503, "times": 3}),
        ("a part of an upload 500", FaultKind.CHUNK_FAILS, {"times": 2}),
        ("a part of an upload cut", FaultKind.CHUNK_CUT, {}),
        ("start of an upload 503", FaultKind.UPLOAD_REFUSED, {"code": 503}),
        ("download 503", FaultKind.DOWNLOAD_FAILS, {"code": 503, "times": 2}),
        ("download 404", FaultKind.DOWNLOAD_FAILS, {"code": 404}),
        ("download 403", FaultKind.DOWNLOAD_FAILS, {"code": 403}),
        ("download cut", FaultKind.DOWNLOAD_CUT, {}),
        ("shuffled", FaultKind.SHUFFLED, {}),
        ("doubled", FaultKind.LINE_DOUBLED, {}),
        ("foreign", FaultKind.FOREIGN_KEY, {}),
        ("separators in lines", FaultKind.RAW_SEPARATORS, {}),
        ("an error line, unavailable", FaultKind.ERROR_LINE, {"code": 14}),
        ("an error line, internal", FaultKind.ERROR_LINE, {"code": 13}),
        ("an error line, exhausted", FaultKind.ERROR_LINE, {"code": 8}),
        ("a status line, cancelled", FaultKind.STATUS_LINE, {"code": 1}),
        ("failed", FaultKind.FAILED, {"code": 13}),
        ("failed, invalid", FaultKind.FAILED, {"code": 3}),
        ("expired", FaultKind.EXPIRED, {}),
        ("pending until it expires", FaultKind.STUCK, {}),
    )
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_what_goes_wrong_in_the_field_costs_no_row_and_nothing_twice(
    emulator: Emulator, tmp_path: Path, fault: BatchFault
) -> None:
    emulator.batches.running_seconds = 100
    emulator.batches.faults.set([fault])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert [answer.response for answer in found] == [answer_to(f"p{n}") for n in range(ROWS)]
    assert (emulator.stats.answered_more_than_once, emulator.stats.batch_answers) == ({}, ROWS)
    assert emulator.batches.faults.struck[fault.kind] or fault.kind is FaultKind.GET_FAILS
    assert emulator.files.all() == []


@pytest.mark.parametrize("fault", [FaultKind.LINE_MISSING, FaultKind.LAST_LINE_CUT])
async def test_a_line_that_is_lost_for_good_is_paid_for_again_and_said_to_be(
    emulator: Emulator, tmp_path: Path, fault: FaultKind
) -> None:
    """Its own row alone."""
    emulator.batches.faults.set([BatchFault(fault)])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert [answer.response for answer in found] == [answer_to(f"p{n}") for n in range(ROWS)]
    assert (sum(answer.lost for answer in found), len(emulator.stats.answered_more_than_once)) == (1, 1)


async def test_a_create_that_is_answered_later_than_anybody_waits_is_found(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_CREATE", ClientTimeout(total=0.1))
    emulator.batches.faults.set([BatchFault(FaultKind.CREATE_SLOW, seconds=130)])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert [answer.kind for answer in found] == [Kind.ANSWERED] * ROWS
    assert (emulator.batches.calls["create"], len(emulator.batches.all())) == (1, 1)


async def test_results_of_which_nothing_can_be_read_are_no_job_that_runs_for_ever(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows go into another one."""
    emulator.batches.running_seconds = 100
    make = emulator.batches.create

    def spoilt(*arguments: Any) -> Job:
        job = make(*arguments)
        if emulator.batches.calls["create"] == 1:
            job.lines = [b"<html>"] * len(job.lines)
        return job

    monkeypatch.setattr(emulator.batches, "create", spoilt)
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert [answer.kind for answer in found] == [Kind.ANSWERED] * ROWS
    assert (emulator.batches.calls["create"], {answer.lost for answer in found}) == (2, {1})


async def test_a_job_whose_every_row_fails_is_no_answer(emulator: Emulator, tmp_path: Path) -> None:
    """It says SUCCEEDED all the same."""
    emulator.batches.faults.set([BatchFault(FaultKind.ERROR_LINE, times=None, code=13)])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert {answer.kind for answer in found} == {Kind.SERVER_ERROR}
    assert emulator.batches.calls["create"] == 2


async def test_a_refused_row_is_that_row_s(emulator: Emulator, tmp_path: Path) -> None:
    emulator.batches.faults.set([BatchFault(FaultKind.ERROR_LINE, code=3)])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items())
    assert [answer.kind for answer in found] == [Kind.INVALID_REQUEST] + [Kind.ANSWERED] * 3
    assert emulator.batches.calls["create"] == 1


async def test_a_row_whose_image_is_refused_goes_as_text(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set_rules([Rule(BAD_IMAGE, "p1", times=1)])
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items(media=picture("PNG")))
    assert [answer.has_image for answer in found] == [True, False, True, True]
    assert found[1].response == answer_to("p1")
    assert "Unable to process input image" in found[1].image_note
    assert found[1].key == items(media=picture("PNG"))[1].preparer.key_of(Sample(1, "1", "p1"), OneCell(picture("PNG")))


async def test_images_that_all_fall_away_stop_the_run_before_anything_is_sent(
    emulator: Emulator, tmp_path: Path
) -> None:
    async with answering(emulator, tmp_path) as answerer:
        with pytest.raises(RunStopped) as caught:
            await answers(answerer, items(20, media=b"no image"))
    assert caught.value.reason is StopReason.IMAGES
    assert emulator.batches.calls["create"] == 0


async def test_answers_say_that_they_were_had_at_the_price_of_a_batch(emulator: Emulator, tmp_path: Path) -> None:
    async with answering(emulator, tmp_path) as answerer:
        [answer] = await answers(answerer, items(1))
    assert (answer.service_tier, answer.prompt_tokens, answer.answer_tokens) == ("batch", 1, 15)


async def test_a_full_storage_waits_for_our_own_and_never_for_the_delay_that_is_named(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Of 292 years."""
    emulator.files.beside = lambda: 0  # results, which nobody can delete, would fill it for good
    emulator.batches.running_seconds, emulator.files.storage_bytes = 100, 350
    async with answering(emulator, tmp_path, group_rows=2) as answerer:
        found = await answers(answerer, items())
    assert ([answer.kind for answer in found], emulator.stats.batch_answers) == ([Kind.ANSWERED] * ROWS, ROWS)
    emulator.files.storage_bytes = 0
    async with answering(emulator, tmp_path) as answerer:
        with pytest.raises(RunStopped, match="no room for batch jobs"):
            await answers(answerer, items())


async def test_the_quota_of_enqueued_tokens_is_found_by_halving(emulator: Emulator, tmp_path: Path) -> None:
    emulator.batches.running_seconds, emulator.batches.limits = 100, BatchLimits(enqueued_tokens=90)
    async with answering(emulator, tmp_path) as answerer:
        found = await answers(answerer, items(8))
    assert [answer.kind for answer in found] == [Kind.ANSWERED] * 8
    assert (emulator.stats.answered_more_than_once, len(emulator.batches.all())) == ({}, 4)


@pytest.mark.parametrize(
    ("fault", "online"),
    [
        (None, ROWS),
        (FaultKind.CANCEL_HALFWAY, ROWS // 2),
        (FaultKind.CANCEL_TOO_LATE, 0),
        (FaultKind.CANCEL_IGNORED, 4),
    ],
)
async def test_at_the_deadline_what_is_done_is_collected_and_the_rest_goes_online(
    emulator: Emulator, tmp_path: Path, fault: FaultKind | None, online: int
) -> None:
    emulator.batches.pending_seconds = 40_000
    emulator.batches.faults.set([BatchFault(fault)] if fault else [])
    deadline = emulator.now() + 3600
    async with answering(emulator, tmp_path, Leftovers.ONLINE, deadline=deadline) as answerer:
        found = await answers(answerer, items())
    assert [answer.response for answer in found] == [answer_to(f"p{n}") for n in range(ROWS)]
    stats = emulator.stats
    assert (stats.answered_more_than_once, stats.answers - stats.batch_answers) == ({}, online)
    assert all(job.state is not JobState.RUNNING for job in emulator.batches.all())
