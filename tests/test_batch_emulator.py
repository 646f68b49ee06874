"""Batch jobs of the emulator, as the SDK and plain HTTP see them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from google import genai
from google.genai import types
from google.genai.errors import ClientError

from deployments.emulator import (
    UNAVAILABLE,
    BatchFault,
    BatchLimits,
    Blocked,
    Emulator,
    FaultKind,
    JobState,
    Rule,
    answer_to,
)

MODEL = "gemini-2.5-flash"


class Api:
    """The routes in plain HTTP, as a client with `key` calls them."""

    def __init__(self, emulator: Emulator, session: aiohttp.ClientSession, key: str = "a-key") -> None:
        self.emulator, self._session, self._key = emulator, session, key

    async def call(self, method: str, path: str, body: Any = None, version: str = "v1") -> tuple[int, Any]:
        url = f"{self.emulator.url}/{version}/{path}"
        async with self._session.request(method, url, json=body, headers={"x-goog-api-key": self._key}) as response:
            return response.status, json.loads(await response.read() or b"{}")

    async def upload(self, content: bytes, *, parts: int = 1) -> Any:
        start = {
            "x-goog-api-key": self._key,
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Header-Content-Length": str(len(content)),
        }
        async with self._session.post(f"{self.emulator.url}/upload/v1/files", headers=start) as response:
            if response.status != 200:
                return await response.json()
            url = response.headers["X-Goog-Upload-URL"]
        size = -(-len(content) // parts)
        for offset in range(0, len(content), size):
            last = offset + size >= len(content)
            headers = {
                "X-Goog-Upload-Offset": str(offset),
                "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
            }
            part = content[offset : offset + size]
            async with self._session.post(url, data=part, headers=headers) as response:
                body = await response.read()
        return json.loads(body)["file"]

    async def create(self, prompts: list[str], name: str = "mine") -> tuple[int, Any]:
        file = await self.upload(lines(prompts))
        batch = {"batch": {"displayName": name, "inputConfig": {"fileName": file["name"]}}}
        return await self.call("POST", f"models/{MODEL}:batchGenerateContent", batch)

    async def results(self, job: str) -> list[dict[str, Any]]:
        _, body = await self.call("GET", job)
        file = body["metadata"]["output"]["responsesFile"]
        headers = {"x-goog-api-key": self._key}
        url = f"{self.emulator.url}/v1/{file}:download?alt=media"
        async with self._session.get(url, headers=headers) as response:
            return [json.loads(line) for line in (await response.read()).split(b"\n") if line]


def lines(prompts: list[str]) -> bytes:
    rows = [{"key": f"{n}", "request": {"contents": [{"parts": [{"text": text}]}]}} for n, text in enumerate(prompts)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@asynccontextmanager
async def api(**options: Any) -> AsyncIterator[Api]:
    async with Emulator(clock=lambda: 1000.0, **options) as emulator, aiohttp.ClientSession() as session:
        yield Api(emulator, session)


async def test_a_job_waits_runs_and_ends_by_the_clock() -> None:
    """Each row is billed when it is answered, and not before; numbers are strings, and what is none is left out."""
    async with api() as a:
        a.emulator.batches.pending_seconds, a.emulator.batches.running_seconds = 60, 100
        status, created = await a.create(["p0", "p1"])
        assert (status, created["metadata"]["state"], "done" in created) == (200, "BATCH_STATE_PENDING", False)
        a.emulator.forward(110)
        _, running = await a.call("GET", created["name"])
        assert running["metadata"]["state"] == "BATCH_STATE_RUNNING"
        assert running["metadata"]["batchStats"] == {
            "requestCount": "2",
            "successfulRequestCount": "1",
            "pendingRequestCount": "1",
        }
        assert a.emulator.stats.batch_answers == 1
        a.emulator.forward(50)
        _, ended = await a.call("GET", created["name"])
        assert (ended["done"], ended["metadata"]["state"]) == (True, "BATCH_STATE_SUCCEEDED")
        assert ended["response"]["responsesFile"] == ended["metadata"]["output"]["responsesFile"]
        assert len(ended["metadata"]["output"]["responsesFile"].removeprefix("files/")) == 42
        found = await a.results(created["name"])
        assert [row["key"] for row in found] == ["0", "1"]
        text = found[1]["response"]["candidates"][0]["content"]["parts"][0]["text"]
        assert (text, a.emulator.stats.batch_answers) == (answer_to("p1"), 2)


async def test_the_sdk_makes_lists_and_reads_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "a-key")
    async with Emulator() as emulator:
        client = genai.Client(http_options=types.HttpOptions(base_url=emulator.url)).aio
        config = types.UploadFileConfig(mime_type="application/jsonl")
        file = await client.files.upload(file=BytesIO(lines(["p0"])), config=config)
        named = types.CreateBatchJobConfig(display_name="theirs")
        job = await client.batches.create(model=MODEL, src=file.name or "", config=named)
        found = [one async for one in await client.batches.list()]
        assert [(one.name, one.display_name) for one in found] == [(job.name, "theirs")]
        assert found[0].state is types.JobState.JOB_STATE_SUCCEEDED
        assert found[0].dest
        assert found[0].dest.file_name
        content = await client.files.download(file=found[0].dest.file_name)
        assert json.loads(content)["response"]["usageMetadata"]["serviceTier"]
        with pytest.raises(ClientError):  # 42 characters, where 40 are allowed
            await client.files.delete(name=found[0].dest.file_name)
        await client.aclose()


async def test_inline_requests_are_answered_in_the_job_itself() -> None:
    async with api() as a:
        requests = [{"request": {"contents": [{"parts": [{"text": "p"}]}]}, "metadata": {"key": "k"}}]
        body = {"batch": {"displayName": "n", "inputConfig": {"requests": {"requests": requests}}}}
        _, job = await a.call("POST", f"models/{MODEL}:batchGenerateContent", body)
        _, job = await a.call("GET", job["name"])
        [row] = job["response"]["inlinedResponses"]["inlinedResponses"]
        assert (row["metadata"], row["response"]["modelVersion"]) == ({"key": "k"}, MODEL)


async def test_a_body_where_none_belongs_is_refused() -> None:
    """As the extra body of an SDK's client would be."""
    async with api() as a:
        _, job = await a.create(["p"])
        for method, path in (("GET", "batches"), ("GET", job["name"]), ("POST", f"{job['name']}:cancel")):
            assert (await a.call(method, path, {"extra": 1}))[0] == 400
        assert (await a.call("DELETE", job["name"]))[0] == 200
        assert (await a.call("GET", job["name"]))[0] == 404


async def test_rows_meet_what_online_calls_meet() -> None:
    """Under the codes of gRPC; a refused row is not billed."""
    rules = [Rule(UNAVAILABLE, "p1"), Rule(Blocked(), "p2")]
    async with api(rules=rules) as a:
        a.emulator.batches.faults.set([BatchFault(FaultKind.STATUS_LINE, code=13)])
        _, job = await a.create(["p0", "p1", "p2", "p3"])
        broken, refused, blocked, answered = await a.results(job["name"])
        assert (broken["status"]["code"], refused["error"]["code"]) == (13, 14)
        assert blocked["response"]["promptFeedback"]
        assert answered["response"]["candidates"]
        assert (a.emulator.stats.batch_answers, a.emulator.stats.answered_more_than_once) == (1, {})


async def test_two_creates_make_two_jobs_and_the_ledger_shows_the_double_payment() -> None:
    async with api() as a:
        for _ in range(2):
            await a.create(["p"])
        _, listed = await a.call("GET", "batches")
        assert len(listed["operations"]) == 2
        assert list(a.emulator.stats.answered_more_than_once.values()) == [2]


async def test_pages_are_as_small_as_the_server_likes() -> None:
    async with api() as a:
        a.emulator.batches.page_size = 2
        made = [(await a.create([f"p{n}"]))[1]["name"] for n in range(3)]
        _, first = await a.call("GET", "batches?pageSize=100")
        _, second = await a.call("GET", f"batches?pageSize=100&pageToken={first['nextPageToken']}")
        assert [job["name"] for page in (first, second) for job in page["operations"]] == made[::-1]
        assert "nextPageToken" not in second


async def test_another_project_sees_nothing() -> None:
    async with api() as a:
        _, job = await a.create(["p"])
        a.emulator.batches.projects["a-key"] = "another"
        assert (await a.call("GET", job["name"]))[0] == 404
        assert await a.call("GET", "batches") == (200, {})


@pytest.mark.parametrize("limits", [BatchLimits(active_jobs=1), BatchLimits(enqueued_tokens=30)])
async def test_what_is_more_than_the_project_may_have_under_way_is_refused_without_a_word(limits: BatchLimits) -> None:
    async with api() as a:
        a.emulator.batches.limits, a.emulator.batches.running_seconds = limits, 60
        assert (await a.create(["p"]))[0] == 200
        status, body = await a.create(["p"])
        assert (status, "details" in body["error"]) == (429, False)
        a.emulator.forward(60)
        assert (await a.create(["p"]))[0] == 200


async def test_a_full_storage_names_a_delay_beyond_all_sense() -> None:
    async with api() as a:
        _, job = await a.create(["p"])
        results = len(json.dumps((await a.results(job["name"]))[0]))  # they count as well
        [file] = a.emulator.files.all()
        a.emulator.files.storage_bytes = len(file.data) + results + 20
        assert "name" in await a.upload(b"x" * 10)
        refused = await a.upload(b"x" * 11)
        assert float(refused["error"]["details"][-1]["retryDelay"][:-1]) > 9e18


@pytest.mark.parametrize("seconds", [0, 60])
async def test_a_create_that_is_answered_with_an_error_may_have_made_its_job(seconds: float) -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(FaultKind.CREATE_UNCLEAR, code=503, seconds=seconds)])
        assert (await a.create(["p"]))[0] == 503
        assert ("operations" in (await a.call("GET", "batches"))[1]) is (seconds == 0)
        a.emulator.forward(60)
        assert len((await a.call("GET", "batches"))[1]["operations"]) == 1
        assert a.emulator.batches.faults.struck == {FaultKind.CREATE_UNCLEAR: 1}


async def test_a_create_that_takes_effect_once_its_input_is_gone_makes_no_job() -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(FaultKind.CREATE_UNCLEAR, code=503, seconds=60)])
        await a.create(["p"])
        [file] = a.emulator.files.all()
        a.emulator.files.delete(file.name)
        a.emulator.forward(60)
        assert (await a.call("GET", "batches"))[1] == {}


async def test_a_job_may_be_known_before_it_is_listed() -> None:
    async with api() as a:
        a.emulator.batches.faults.set(
            [BatchFault(FaultKind.LISTED_LATE, seconds=60), BatchFault(FaultKind.GET_FAILS, code=503)]
        )
        _, job = await a.create(["p"])
        assert (await a.call("GET", "batches"))[1] == {}
        assert [(await a.call("GET", job["name"]))[0] for _ in range(2)] == [503, 200]
        a.emulator.forward(60)
        assert len((await a.call("GET", "batches"))[1]["operations"]) == 1


@pytest.mark.parametrize(
    ("fault", "state", "billed"),
    [
        (FaultKind.STUCK, JobState.PENDING, 0),
        (FaultKind.FAILED, JobState.FAILED, 0),
        (FaultKind.EXPIRED, JobState.EXPIRED, 0),
    ],
)
async def test_a_job_may_come_to_nothing(fault: FaultKind, state: JobState, billed: int) -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(fault, code=3)])
        _, job = await a.create(["p"])
        a.emulator.forward(47 * 3600)
        _, body = await a.call("GET", job["name"])
        assert body["metadata"]["state"] == f"BATCH_STATE_{state}"
        assert ("output" in body["metadata"], a.emulator.stats.answers) == (False, billed)
        assert body.get("error", {}).get("code") == (3 if state is JobState.FAILED else None)
        a.emulator.forward(3600)
        _, body = await a.call("GET", job["name"])
        assert body["metadata"]["state"] == f"BATCH_STATE_{state if state.ended else JobState.EXPIRED}"


@pytest.mark.parametrize(
    ("fault", "state", "billed"),
    [
        (None, JobState.CANCELLED, 0),
        (FaultKind.CANCEL_HALFWAY, JobState.CANCELLED, 2),
        (FaultKind.CANCEL_TOO_LATE, JobState.SUCCEEDED, 4),
        (FaultKind.CANCEL_IGNORED, JobState.PENDING, 0),
    ],
)
async def test_a_cancel_is_a_wish(fault: FaultKind | None, state: JobState, billed: int) -> None:
    async with api() as a:
        a.emulator.batches.pending_seconds = 60
        a.emulator.batches.faults.set([BatchFault(fault)] if fault else [])
        _, job = await a.create(["p0", "p1", "p2", "p3"])
        assert (await a.call("POST", f"{job['name']}:cancel"))[0] == 200
        _, body = await a.call("GET", job["name"])
        assert body["metadata"]["state"] == f"BATCH_STATE_{state}"
        assert ("output" in body["metadata"], a.emulator.stats.answers) == (billed > 0, billed)


@pytest.mark.parametrize(
    ("fault", "keys"),
    [
        (FaultKind.LINE_MISSING, ["0", "1", "3"]),
        (FaultKind.LINE_DOUBLED, ["3", "0", "1", "2", "3"]),
        (FaultKind.FOREIGN_KEY, ["000000.of-somebody-else", "0", "1", "2", "3"]),
        (FaultKind.RAW_SEPARATORS, ["0", "1", "2", "3"]),
    ],
)
async def test_a_results_file_may_be_wrong(fault: FaultKind, keys: list[str]) -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(fault)])
        _, job = await a.create(["p0", "p1", "p2", "p3"])
        assert [row["key"] for row in await a.results(job["name"])] == keys


async def test_the_last_line_may_be_cut() -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(FaultKind.LAST_LINE_CUT)])
        _, job = await a.create(["p0", "p1"])
        with pytest.raises(json.JSONDecodeError):
            await a.results(job["name"])


async def test_an_upload_that_was_cut_says_where_it_stands() -> None:
    async with api() as a:
        a.emulator.batches.faults.set([BatchFault(FaultKind.CHUNK_CUT)])
        with pytest.raises(aiohttp.ClientError):
            await a.upload(b"12345678")
        headers = {"X-Goog-Upload-Command": "query"}
        url = f"{a.emulator.url}/upload/v1/files?upload_id=000001"
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers) as response:
            assert response.headers["X-Goog-Upload-Size-Received"] == "4"


async def test_downloads_may_break_off() -> None:
    async with api() as a:
        _, job = await a.create(["p"])
        a.emulator.batches.faults.set([BatchFault(FaultKind.DOWNLOAD_CUT)])
        with pytest.raises(aiohttp.ClientError):
            await a.results(job["name"])
        a.emulator.batches.faults.set([BatchFault(FaultKind.DOWNLOAD_FAILS, code=403)])
        file = (await a.call("GET", job["name"]))[1]["response"]["responsesFile"]
        assert (await a.call("GET", f"{file}:download?alt=media"))[0] == 403


async def test_another_process_sets_lives_and_faults_and_reads_what_there_was() -> None:
    async with api() as a, aiohttp.ClientSession() as session:
        for path, body in (
            ("batches", {"running_seconds": 60, "limits": {"active_jobs": 5}}),
            ("batch-faults", [{"kind": "failed", "code": 3}]),
        ):
            async with session.post(f"{a.emulator.url}/emulator/{path}", json=body) as response:
                assert response.status == 200
        _, job = await a.create(["p"])
        async with session.post(f"{a.emulator.url}/emulator/forward", json={"seconds": 60}) as response:
            assert response.status == 200
        async with session.get(f"{a.emulator.url}/emulator/batches") as response:
            found = await response.json()
        assert found["jobs"] == [[job["name"], "mine", "FAILED"]]
        assert (found["faults"], found["calls"]["create"]) == ({"failed": 1}, 1)
