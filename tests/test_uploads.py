"""What goes through the File API, how often, and what becomes of a row when that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deployments.emulator import Emulator, HttpError, RateLimited, Rule, answer_to
from tasks.core.answering.item import Item
from tasks.core.answering.online import OnlineAnswerer
from tasks.core.answering.uploading import UploadingModel
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.limits import LimitsConfig
from tasks.core.details import Spent
from tasks.core.errors import MediaError
from tasks.core.gemini import files
from tasks.core.gemini.client import GeminiClient
from tasks.core.media import uploads
from tasks.core.media.uploads import MAX_OTHER_BYTES, SHARED_BYTES, Uploads
from tasks.core.prompts.prepare import Preparer
from tasks.core.records import Kind, Media, MediaUri, Request, RowAnswer, Sample, StoredFile
from tests.media_samples import chunked, pdf, picture
from tests.readers import OneCell

GENERATION = GenerateConfig(model="gemini-2.5-flash")
LARGE_PDF = pdf(MAX_OTHER_BYTES // 7 + 1)
SHARED_PDF = pdf(SHARED_BYTES // 7 + 1)
SMALL_PDF = pdf()


@asynccontextmanager
async def answering(timeout_seconds: float = 60, **limits: Any) -> AsyncIterator[tuple[OnlineAnswerer, Uploads]]:
    client = GeminiClient(GENERATION)
    found = Uploads(client.files)
    model = UploadingModel(client, found, timeout_seconds)
    yield (
        answerer := OnlineAnswerer(
            model,
            LimitsConfig(max_concurrent=10, timeout_seconds=timeout_seconds, max_attempts=3, **limits),
            random=lambda: 0.0,
        ),
        found,
    )
    await answerer.close()


def items(media: Sequence[Any], text: str = "row {}") -> list[Item]:
    preparer = Preparer(GENERATION)
    return [Item(Sample(n, str(n), text.format(n)), preparer, OneCell(each, False)) for n, each in enumerate(media)]


async def answers(answerer: OnlineAnswerer, rows: Sequence[Item]) -> list[RowAnswer]:
    found = [answer async for answer in answerer.answer("chunk", rows) if isinstance(answer, RowAnswer)]
    return sorted(found, key=lambda answer: answer.row)


async def test_what_is_larger_than_a_request_is_uploaded_once_for_all_rows(emulator: Emulator) -> None:
    """Twenty rows, ten at a time; each gets an answer about the very bytes, under the key that it had."""
    rows = items([LARGE_PDF] * 20)
    async with answering() as (answerer, _):
        found = await answers(answerer, rows)
    assert emulator.files.uploads == 1
    for row, answer in zip(rows, found, strict=True):
        assert answer.response == answer_to(f"row {answer.row}", LARGE_PDF, "application/pdf")
        assert (answer.error_message, answer.has_image) == ("", True)
        assert answer.key == row.preparer.key_of(row.sample, row.media)
    sent = [seen.media[0] for seen in emulator.last_requests]
    assert len({medium.uri for medium in sent}) == 1
    assert sent[0].uri.startswith(emulator.url)


async def test_what_many_rows_use_is_uploaded_once_it_is_used_again(emulator: Emulator) -> None:
    """The first use goes along; what is small goes along for ever."""
    async with answering(timeout_seconds=60) as (answerer, _):
        for n in range(4):
            await answers(answerer, items([SHARED_PDF], f"question {n}"))
            await answers(answerer, items([SMALL_PDF], f"question {n}"))
    assert [bool(seen.media[0].uri) for seen in emulator.last_requests] == [False, False] + [True, False] * 3
    assert emulator.files.uploads == 1


async def test_a_row_that_is_tried_again_is_no_other_row(emulator: Emulator) -> None:
    """Its own medium is not shared."""
    emulator.set_rules([Rule(HttpError(503), times=1)])
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([SHARED_PDF]))
    assert (answer.kind, emulator.files.uploads, emulator.stats.requests) == (Kind.ANSWERED, 0, 2)


async def test_an_image_that_fits_goes_along_where_a_pdf_does_not(emulator: Emulator) -> None:
    """Only what is too much is uploaded, the largest first."""
    sound, image = chunked(b"WAVE", b"RIFF"), picture("PNG")
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([[image, LARGE_PDF, sound]]))
    assert answer.response == answer_to("row 0", image + LARGE_PDF + sound, "image/png")
    assert [bool(medium.uri) for medium in emulator.last_requests[0].media] == [False, True, False]


async def test_an_image_larger_than_a_request_is_uploaded(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, or of several that are too much together the largest."""
    small, large = picture("PNG"), picture("PNG", compress_level=0)
    monkeypatch.setattr(uploads, "MAX_BYTES", len(large) - 1)
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([[small, large]]))
    assert answer.response == answer_to("row 0", small + large, "image/png")
    assert [bool(medium.uri) for medium in emulator.last_requests[0].media] == [False, True]


async def test_a_later_run_finds_the_file_by_its_content(emulator: Emulator) -> None:
    """As long as it lives for more than an hour."""
    for uploaded in (1, 1):
        async with answering() as (answerer, _):
            await answers(answerer, items([LARGE_PDF]))
        assert emulator.files.uploads == uploaded
    emulator.files.lifetime_seconds = 3000
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([LARGE_PDF]))
    assert (answer.kind, emulator.files.uploads) == (Kind.ANSWERED, 2)


async def test_a_file_that_is_gone_is_uploaded_again(emulator: Emulator) -> None:
    """Somebody may delete it. The row does not notice, and it is no reason to doubt the key."""
    async with answering() as (answerer, _):
        await answers(answerer, items([LARGE_PDF]))
        [file] = emulator.files.all()
        emulator.files.delete(file.name)
        [answer] = await answers(answerer, items([LARGE_PDF], "again"))
    assert (answer.error_message, emulator.files.uploads) == ("", 2)


class Slow:
    """A FileStore that lets a test say when, and counts."""

    exists = True

    def __init__(self, outcomes: Sequence[StoredFile | Exception]) -> None:
        self.outcomes, self.names, self.go = list(outcomes), list[str](), asyncio.Event()

    async def store(self, name: str, media: Media) -> StoredFile:
        self.names.append(name)
        await self.go.wait()
        found = self.outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


FILE = StoredFile("https://x/files/a", "application/pdf", 1e12)
REQUEST = Request.of(Media(LARGE_PDF, "application/pdf"), "text")


async def test_rows_that_wait_for_the_same_upload_wait_for_one() -> None:
    """One of them may be given up meanwhile."""
    store = Slow([FILE])
    waiting = [asyncio.create_task(found.sendable(REQUEST)) for found in [Uploads(store)] for _ in range(5)]
    while not store.names:
        await asyncio.sleep(0.01)
    waiting[0].cancel()
    await asyncio.sleep(0)
    store.go.set()
    done = await asyncio.gather(*waiting[1:])
    assert len(store.names) == 1
    assert {request.media for request in done} == {(MediaUri(FILE.uri, FILE.mime_type),)}


async def test_a_file_is_used_until_its_last_hour() -> None:
    """By the clock of the wall."""
    now = [0.0]
    store = Slow([StoredFile("https://x/1", "m", 48 * 3600), StoredFile("https://x/2", "m", 96 * 3600)])
    store.go.set()
    found = Uploads(store, now=lambda: now[0])
    used = []
    for hour in (0, 46, 46.9, 47.1, 60):
        now[0] = hour * 3600
        [medium] = (await found.sendable(REQUEST)).media
        assert isinstance(medium, MediaUri)
        used.append(medium.uri[-1])
    assert used == ["1", "1", "1", "2", "2"]


async def test_what_was_refused_is_not_uploaded_for_every_row() -> None:
    """What failed for a passing reason is."""
    store = Slow([ConnectionError("gone"), MediaError("no pages"), FILE])
    store.go.set()
    found = Uploads(store)
    for error in (ConnectionError, MediaError, MediaError):
        with pytest.raises(error):
            await found.sendable(REQUEST)
    assert len(store.names) == 2


async def test_where_sharing_fails_the_medium_goes_along() -> None:
    """Nothing is lost by it."""
    store = Slow([ConnectionError("gone"), ConnectionError("gone")])
    store.go.set()
    found, medium = Uploads(store), Media(SHARED_PDF, "application/pdf")
    for text in ("one", "two", "three"):
        request = Request.of(medium, text)
        assert await found.sendable(request) is request
    assert len(store.names) == 1


async def test_an_upload_that_fails_for_now_is_tried_again_with_its_row(emulator: Emulator) -> None:
    """As any request."""
    emulator.files.refusals = [HttpError(503), HttpError(503)]
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([LARGE_PDF]))
        assert (answer.kind, answer.error_message) == (Kind.ANSWERED, "")
        emulator.files.refusals = [HttpError(503)]
        outcome = await answerer._call(Request.of(Media(LARGE_PDF + b"\n", "application/pdf"), "text"), Spent())
    assert (outcome.kind, outcome.detail[:4]) == (Kind.SERVER_ERROR, "503 ")


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        (
            HttpError(400, "The mime type is not supported."),
            "the File API refuses it: 400 The mime type is not supported.",
        ),
        (HttpError(413, "Too large."), "the File API refuses it: 413 Too large."),
        (HttpError(404, "Not Found"), "bytes are more than a request takes, and the endpoint has no File API"),
    ],
)
async def test_a_medium_that_is_refused_leaves_the_text(emulator: Emulator, refusal: HttpError, why: str) -> None:
    """With a note; without a text the row has failed."""
    emulator.files.refusals = [refusal]
    async with answering() as (answerer, _):
        with_text, without = await answers(
            answerer, [*items([LARGE_PDF]), Item(Sample(1, "1", ""), Preparer(GENERATION), OneCell(LARGE_PDF, False))]
        )
    assert with_text.error_message.startswith("image: ")
    assert why in with_text.error_message
    assert (with_text.status, with_text.has_image) == ("success", False)
    assert (without.kind, without.status) == (Kind.IMAGE, "error")
    assert why in without.error_message


async def test_a_film_is_waited_for_while_it_is_processed(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """And refused with the API's own reason where that fails."""
    monkeypatch.setattr(files, "POLL_SECONDS", 0.05)
    emulator.files.processing_seconds = 0.3
    began = time.monotonic()
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([LARGE_PDF]))
        assert (answer.error_message, time.monotonic() - began >= 0.3) == ("", True)
        emulator.files.fails = True
        [answer] = await answers(answerer, items([LARGE_PDF + b"\n"]))
    assert answer.error_message == "image: the File API could not process it: The file could not be processed."


async def test_an_upload_that_takes_long_costs_no_timeout_and_goes_on(emulator: Emulator) -> None:
    """The row comes back for it: nothing was sent that could be billed."""
    emulator.files.processing_seconds = 2.5
    async with answering(timeout_seconds=2) as (answerer, _):
        [answer] = await answers(answerer, items([LARGE_PDF]))
    assert (answer.error_message, answer.timeouts, emulator.files.uploads) == ("", 0, 1)


async def test_a_key_that_may_not_upload_stops_the_run_as_any_refusal() -> None:
    """It is no fault of the medium."""
    with Emulator(valid_keys=["another"]).in_thread() as emulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOOGLE_GEMINI_BASE_URL", emulator.url)
        patch.setenv("GOOGLE_API_KEY", "test-key")
        async with answering() as (answerer, _):
            outcome = await answerer._call(REQUEST, Spent())
    assert (outcome.kind, outcome.for_all_rows) == (Kind.INVALID_REQUEST, True)


async def test_vertex_has_no_file_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what works there; what fits goes along."""
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_API_KEY", "test-key")
    client = GeminiClient(GENERATION)
    try:
        with pytest.raises(MediaError, match="Vertex has no File API; gs:// URIs work there"):
            await Uploads(client.files).sendable(REQUEST)
        small = Request.of(Media(SHARED_PDF, "application/pdf"), "text")
        assert await Uploads(client.files).sendable(small) is small
    finally:
        await client.close()


@pytest.mark.parametrize("uri", ["files/gone", "/v1beta/files/gone"])
async def test_a_file_of_the_users_own_that_is_gone_is_the_rows_alone(emulator: Emulator, uri: str) -> None:
    """Not the run's: the API words it like a key that is refused."""
    gone = MediaUri(f"{emulator.url}/v1beta/files/{uri.rpartition('/')[2]}", "")
    async with answering() as (answerer, _):
        lost, fine = await answers(answerer, items([gone, SMALL_PDF]))
    assert (lost.status, lost.has_image, fine.has_image) == ("success", False, True)
    assert "may not exist" in lost.error_message


async def test_a_uri_goes_out_as_it_is_and_its_type_where_it_is_known(emulator: Emulator) -> None:
    """The API knows the types of its own files."""
    kept = emulator.files.start({"name": "files/mine"}, "audio/wav")
    assert isinstance(kept, str)
    emulator.files.end(kept)
    uris = [MediaUri("gs://bucket/a.mp4", "video/mp4"), MediaUri(f"{emulator.url}/v1beta/files/mine", "")]
    async with answering() as (answerer, _):
        await answers(answerer, items([uris]))
    sent = [(medium.uri, medium.mime_type) for medium in emulator.last_requests[0].media]
    assert sent == [(uris[0].uri, "video/mp4"), (uris[1].uri, "audio/wav")]


async def test_too_many_uploads_slow_the_run_down_as_too_many_requests_do(emulator: Emulator) -> None:
    """429 is 429."""
    emulator.set_rules([Rule(RateLimited(retry_delay_seconds=0.01), times=1)])
    emulator.files.refusals = [HttpError(429, "Quota exceeded.")]
    async with answering() as (answerer, _):
        [answer] = await answers(answerer, items([LARGE_PDF]))
    assert answer.kind is Kind.ANSWERED


def test_what_is_too_much_is_the_largest() -> None:
    """Images have more room than the rest."""

    def of(size: int, mime_type: str = "application/pdf") -> Media:
        return Media(bytes(size), mime_type)

    third = MAX_OTHER_BYTES // 3
    small, large = of(third - 1), of(2 * third + 5)
    assert uploads._too_much([small, large]) == [large]
    assert uploads._too_much([of(third), of(2 * third - 5)]) == []
    images = [of(30_000_000, "image/png") for _ in range(3)]
    assert uploads._too_much(images) == images[-1:]
