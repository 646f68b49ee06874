"""The calls of the Batch API over the wire: each once, with what the SDK's own would drop or send twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp.web
import pytest
from aiohttp.test_utils import TestServer

from deployments.emulator import UNKNOWN_MODEL, BatchFault, Emulator, FaultKind, answer_to
from tasks.core.batches import BatchJob, NotSent, ResultLine
from tasks.core.config.generation import GenerateConfig
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.gemini import resumable
from tasks.core.gemini.batch_wire import read_job, read_line
from tasks.core.gemini.batches import GeminiBatches
from tasks.core.gemini.client import GeminiClient
from tasks.core.records import Media, MediaUri, Request

GENERATION = GenerateConfig(model="gemini-2.5-flash", generation_config={"temperature": 0})
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@asynccontextmanager
async def batches() -> AsyncIterator[GeminiBatches]:
    async with GeminiClient(GENERATION) as client:
        yield client.batches


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleep(seconds: float) -> None: ...

    monkeypatch.setattr(GeminiBatches.__init__, "__kwdefaults__", {"sleep": sleep})


async def input_file(api: GeminiBatches, folder: Path, prompts: int = 2) -> Path:
    path = folder / "input.jsonl"
    path.write_bytes(b"".join(api.line(f"k{n}", Request.of(f"p{n}")) for n in range(prompts)))
    return path


async def made(api: GeminiBatches, folder: Path, name: str = "mine") -> BatchJob:
    return await api.create(name, await uploaded(api, await input_file(api, folder)))


async def uploaded(api: GeminiBatches, path: Path) -> str:
    return await api.upload(await api.start_upload(1, "n"), path)


async def test_a_job_goes_up_ends_and_comes_down(emulator: Emulator, tmp_path: Path) -> None:
    async with batches() as api:
        created = await made(api, tmp_path)
        [listed] = (await api.jobs()).jobs
        got = await api.get(created.name)
        assert (created.display_name, listed.name, got) == ("mine", created.name, listed)
        assert (got.state, got.ended, got.requests, got.succeeded, got.failed) == ("SUCCEEDED", True, 2, 2, 0)
        await api.download(got.results_file, tmp_path / "results")
        lines = [api.read_line(line) for line in (tmp_path / "results").read_bytes().split(b"\n") if line]
        texts = {line.key: line.result.text for line in lines if line and not isinstance(line.result, ApiError)}
        assert texts == {"k0": answer_to("p0"), "k1": answer_to("p1")}
        [file] = emulator.files.all()
        await api.delete_file(file.name)
        await api.delete_file(file.name)
        assert (emulator.files.all(), emulator.batches.calls["create"]) == ([], 1)


async def test_a_line_is_written_as_the_api_documents_it(emulator: Emulator) -> None:
    """Online the SDK's own mix is sent; a line with something that is not known is dropped without a word."""
    request = Request.of(Media(b"\xff\xfe\x00", "image/png"), MediaUri("gs://a/b", "video/mp4"), "a\u2028b\n")
    async with batches() as api:
        line = api.line("k", request)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    found = json.loads(line)
    assert found["request"]["contents"][0]["parts"] == [
        {"inlineData": {"data": "//4A", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "gs://a/b", "mimeType": "video/mp4"}},
        {"text": "a\u2028b\n"},
    ]
    assert found["request"]["generationConfig"] == {"temperature": 0}


@pytest.mark.parametrize("code", [0, 503])
async def test_a_create_whose_answer_is_lost_is_not_sent_again(emulator: Emulator, tmp_path: Path, code: int) -> None:
    async with batches() as api:
        emulator.batches.faults.set([BatchFault(FaultKind.CREATE_UNCLEAR, code=code)])
        with pytest.raises((ApiError, ConnectionError)) as caught:
            await made(api, tmp_path)
        assert not isinstance(caught.value, NotSent)
        assert (emulator.batches.calls["create"], len((await api.jobs()).jobs)) == (1, 1)


async def test_where_nobody_listens_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is nothing to look for."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    async with batches() as api:
        with pytest.raises(NotSent):
            await api.create("n", "files/a")


@pytest.mark.parametrize("fault", [FaultKind.CHUNK_FAILS, FaultKind.CHUNK_CUT])
async def test_an_upload_goes_on_where_it_was_lost(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: FaultKind
) -> None:
    monkeypatch.setattr(resumable, "PART_BYTES", 64)
    async with batches() as api:
        emulator.batches.faults.set([BatchFault(fault, times=2)])
        path = await input_file(api, tmp_path, prompts=5)
        await uploaded(api, path)
        [file] = emulator.files.all()
        assert file.data == path.read_bytes()
        assert (file.mime_type, emulator.files.uploads) == ("application/jsonl", 1)


async def test_an_upload_that_keeps_failing_is_given_up(emulator: Emulator, tmp_path: Path) -> None:
    async with batches() as api:
        emulator.batches.faults.set([BatchFault(FaultKind.CHUNK_FAILS, times=None)])
        with pytest.raises(ApiError):
            await uploaded(api, await input_file(api, tmp_path))
        assert emulator.batches.faults.struck[FaultKind.CHUNK_FAILS] == resumable.PART_TRIES


async def test_an_upload_that_was_given_up_goes_on_in_another_process(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come is not sent again; nothing is known of an upload that is over, or of none."""
    monkeypatch.setattr(resumable, "PART_BYTES", 64)
    async with batches() as one:
        path = await input_file(one, tmp_path, prompts=5)
        upload = await one.start_upload(1, "n")
        emulator.batches.faults.set([BatchFault(FaultKind.CHUNK_CUT, times=resumable.PART_TRIES)])
        with pytest.raises(ConnectionError):
            await one.upload(upload, path)
    async with batches() as other:
        there = await other.received(upload)
        assert there
        assert len(path.read_bytes()) > there
        await other.upload(upload, path, there)
        [file] = emulator.files.all()
        assert (file.data, emulator.batches.calls["upload"]) == (path.read_bytes(), 1)
        assert await other.received(upload) is None


async def test_all_pages_are_there_to_be_read(emulator: Emulator, tmp_path: Path) -> None:
    emulator.batches.page_size = 2
    async with batches() as api:
        names = [(await made(api, tmp_path)).name for _ in range(3)]
        first = await api.jobs()
        second = await api.jobs(first.next_token)
        assert [job.name for page in (first, second) for job in page.jobs] == names[::-1]
        assert not second.next_token


async def test_a_cancel_is_asked_for_without_a_body(emulator: Emulator, tmp_path: Path) -> None:
    emulator.batches.pending_seconds = 60
    async with batches() as api:
        job = await made(api, tmp_path)
        await api.cancel(job.name)
        assert (await api.get(job.name)).state == "CANCELLED"


async def test_a_job_that_failed_says_why(emulator: Emulator, tmp_path: Path) -> None:
    """The SDK's `get` drops it."""
    emulator.batches.faults.set([BatchFault(FaultKind.FAILED, code=3)])
    async with batches() as api:
        job = await api.get((await made(api, tmp_path)).name)
    assert (job.state, job.results_file) == ("FAILED", "")
    assert job.error is not None
    assert (job.error.code, job.error.status) == (400, "INVALID_ARGUMENT")
    assert str(job.error) == f"400 INVALID_ARGUMENT {job.error.message}"


@pytest.mark.parametrize("fault", [BatchFault(FaultKind.DOWNLOAD_CUT), BatchFault(FaultKind.DOWNLOAD_FAILS, code=404)])
async def test_a_download_is_whole_or_an_error(emulator: Emulator, tmp_path: Path, fault: BatchFault) -> None:
    async with batches() as api:
        job = await api.get((await made(api, tmp_path)).name)
        emulator.batches.faults.set([fault])
        with pytest.raises((ApiError, ConnectionError)):
            await api.download(job.results_file, tmp_path / "results")
        await api.download(job.results_file, tmp_path / "results")
        assert (tmp_path / "results").read_bytes().count(b"\n") == 2


@asynccontextmanager
async def an_older_endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[str]]:
    """It knows v1beta and nothing else; yields the paths that it is asked for."""
    paths: list[str] = []

    async def reply(request: aiohttp.web.Request) -> aiohttp.web.Response:
        paths.append(f"{request.method} {request.path}")
        if "/v1beta/" not in request.path:
            return aiohttp.web.json_response({"error": {"code": 404, "message": "no such path"}}, status=404)
        url = {"X-Goog-Upload-URL": f"http://{request.host}/v1beta/part"}
        return aiohttp.web.json_response({"name": "batches/1", "file": {"name": "files/1"}}, headers=url)

    app = aiohttp.web.Application()
    app.router.add_route("*", "/{path:.*}", reply)
    async with TestServer(app) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", str(server.make_url("/")))
        monkeypatch.setenv("GOOGLE_API_KEY", "k")
        yield paths


async def test_the_version_is_looked_for_by_calls_that_do_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one call that costs money is sent once, and to a version that is known to be there."""
    async with an_older_endpoint(monkeypatch) as paths, batches() as api:
        await made(api, tmp_path)
    assert paths == [
        "POST /upload/v1/files",
        "POST /upload/v1beta/files",
        "POST /v1beta/part",
        "GET /v1/batches",
        "GET /v1beta/batches",
        "POST /v1beta/models/gemini-2.5-flash:batchGenerateContent",
    ]


async def test_a_version_that_the_environment_names_is_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v1")
    async with an_older_endpoint(monkeypatch) as paths, batches() as api:
        with pytest.raises(ApiError):
            await api.jobs()
    assert paths == ["GET /v1/batches"]


async def test_a_model_that_is_not_there_is_said_by_the_create(emulator: Emulator, tmp_path: Path) -> None:
    async with batches() as api:
        file = await uploaded(api, await input_file(api, tmp_path))
        emulator.set_outage(UNKNOWN_MODEL)
        with pytest.raises(ApiError) as caught:
            await api.create("n", file)
    assert caught.value.code == 404


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "BATCH_STATE_SUCCEEDED", "SUCCEEDED"])
def test_a_state_is_known_by_its_end(state: str) -> None:
    """Google's own samples have it wrongly."""
    assert read_job(json.dumps({"name": "batches/1", "metadata": {"state": state}})).ended


@pytest.mark.parametrize("body", ["", "[]", "{}", "<html>", '{"name": 5}'])
def test_what_is_no_job_is_not_taken_for_one(body: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_job(body)


@pytest.mark.parametrize("name", ["error", "status"])
def test_a_failed_line_has_the_code_that_outcomes_are_told_by(name: str) -> None:
    line = json.dumps({"key": "k", name: {"code": 14, "message": "busy"}}).encode()
    found = read_line(line, "m")
    assert found is not None
    assert isinstance(found.result, ApiError)
    assert (found.key, found.result.code, found.result.status) == ("k", 503, "UNAVAILABLE")
    assert found.result.message == "busy"


@pytest.mark.parametrize("line", [b"", b'{"key": "k", "resp', b'{"key": 5, "response": {}}', b'{"key": "k"}', b"[]"])
def test_a_line_of_which_nothing_can_be_read_is_none(line: bytes) -> None:
    assert read_line(line, "m") is None


def test_unknown_fields_do_not_cost_an_answer() -> None:
    """Those of every real line do, by the SDK's types."""
    response = {
        "candidates": [{"content": {"parts": [{"text": "ja"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 4, "serviceTier": "SERVICE_TIER_BATCH"},
        "new": {"a": 1},
    }
    found = read_line(json.dumps({"key": "k", "response": response}).encode(), "m")
    assert isinstance(found, ResultLine)
    assert not isinstance(found.result, ApiError)
    assert (found.result.text, found.result.usage.prompt_tokens) == ("ja", 4)


def test_the_calls_do_not_block_each_other(emulator: Emulator, tmp_path: Path) -> None:
    """Twenty at a time, on one session."""

    async def twenty() -> list[BatchJob]:
        async with batches() as api:
            return await asyncio.gather(*(made(api, tmp_path, f"n{n}") for n in range(20)))

    assert len({job.name for job in asyncio.run(twenty())}) == 20
