"""The routes of the Batch API: `batchGenerateContent`, and `get`, `list`, `cancel`, `delete` of jobs. Vertex has none.

A body on any but the first is refused, as the real API does.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from deployments.emulator.batch_faults import BatchFault, FaultKind
from deployments.emulator.batch_jobs import Job, Jobs
from deployments.emulator.batch_rows import operation
from deployments.emulator.behaviours import UNKNOWN_MODEL, Behaviour, Breakage, Broken, HttpError, Quota, RateLimited
from deployments.emulator.files import StoredFile
from deployments.emulator.send import key_of, refuse, send_json
from deployments.emulator.state import EmulatorState

_VERSION = "{version:v1|v1beta}"
_FULL = RateLimited(None, Quota.UNNAMED)
_BODY = HttpError(400, 'Invalid JSON payload received. Unknown name "": Cannot bind query parameter.')
_PAGE_SIZE = 50

type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_batch_routes(app: web.Application, state: EmulatorState, jobs: Jobs) -> None:
    """Serve the Batch API from `app`."""
    api = _BatchApi(state, jobs)
    app.router.add_post(f"/{_VERSION}/models/{{model}}:batchGenerateContent", api.create)
    app.router.add_get(f"/{_VERSION}/batches", api.without_body("list", api.list_jobs))
    one = f"/{_VERSION}/batches/{{name}}"
    app.router.add_get(one, api.without_body("get", api.get_job))
    app.router.add_post(one + ":cancel", api.without_body("cancel", api.cancel_job))
    app.router.add_delete(one, api.without_body("delete", api.delete_job))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A job to be made."""

    model: str
    display_name: str
    project: str
    file: str | None
    lines: Sequence[bytes]


class _BatchApi:
    def __init__(self, state: EmulatorState, jobs: Jobs) -> None:
        self._state, self._jobs = state, jobs

    def without_body(self, call: str, handle: _Handler) -> _Handler:
        """`handle` for a caller with a key and without a body."""

        async def handler(request: web.Request) -> web.StreamResponse:
            self._jobs.calls[call] += 1
            if refusal := self._state.refuse_caller(key_of(request)):
                return await refuse(request, refusal)
            if await request.read():
                return await refuse(request, _BODY)
            return await handle(request)

        return handler

    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST …/models/{model}:batchGenerateContent`. Never the same twice: each call makes a job."""
        jobs, body = self._jobs, await request.read()
        jobs.calls["create"] += 1
        if refused := jobs.faults.take(FaultKind.CREATE_REFUSED):
            return await refuse(request, _failure(refused))
        found = self._read(request, body)
        if not isinstance(found, _Wanted):
            return await refuse(request, found)
        if unclear := jobs.faults.take(FaultKind.CREATE_UNCLEAR):
            jobs.create_later(unclear.seconds, lambda: self._create_late(found))
            jobs.all()  # what is late by no time is there at once
            return await refuse(request, _failure(unclear))
        job = self._create(found)
        if slow := jobs.faults.take(FaultKind.CREATE_SLOW):
            await asyncio.sleep(slow.seconds)
        return self._told(job)

    def _read(self, request: web.Request, body: bytes) -> _Wanted | Behaviour:
        model, project = request.match_info["model"], self._jobs.project_of(key_of(request))
        if refusal := self._state.refuse_caller(key_of(request)):
            return refusal
        if model not in self._state.models:
            return UNKNOWN_MODEL
        try:
            batch = json.loads(body)["batch"]
            source, name = batch["inputConfig"], str(batch.get("displayName") or "")
            file = source.get("fileName")
            lines = self._lines(file) if file else [json.dumps(_inline(one)).encode() for one in _requests(source)]
        except (ValueError, KeyError, TypeError) as error:
            return HttpError(400, f"Invalid JSON payload received. {error}")
        if not isinstance(lines, list):
            return lines
        if not self._jobs.has_room(model, project, lines):
            return _FULL
        return _Wanted(model, name, project, file, lines)

    def _lines(self, file: str) -> list[bytes] | HttpError:
        found = self._state.files.use(file)
        return [line for line in found.data.split(b"\n") if line] if isinstance(found, StoredFile) else found

    def _create(self, wanted: _Wanted) -> Job:
        return self._jobs.create(wanted.model, wanted.display_name, wanted.project, wanted.lines, not wanted.file)

    def _create_late(self, wanted: _Wanted) -> None:
        """What has no input any more by now is no job."""
        if not wanted.file or self._state.files.find(wanted.file):
            self._create(wanted)

    async def list_jobs(self, request: web.Request) -> web.StreamResponse:
        """Newest first. A page token is the name of the last job of the page before."""
        if fault := self._jobs.faults.take(FaultKind.LIST_FAILS):
            return await refuse(request, _failure(fault))
        now, after = self._state.clock(), request.query.get("pageToken")
        listed = [job for job in self._jobs.all(self._jobs.project_of(key_of(request))) if job.listed_at <= now]
        start = next((n for n, job in enumerate(listed, 1) if job.name == after), 0)
        end = start + min(int(request.query.get("pageSize") or _PAGE_SIZE), self._jobs.page_size)
        page = listed[start:end]
        body: dict[str, Any] = {"operations": [operation(job, now) for job in page]} if page else {}
        return send_json(200, body | ({"nextPageToken": page[-1].name} if end < len(listed) else {}))

    async def get_job(self, request: web.Request) -> web.StreamResponse:
        """404 for somebody else's as well."""
        if fault := self._jobs.faults.take(FaultKind.GET_FAILS):
            return await refuse(request, _failure(fault))
        job = self._find(request)
        return self._told(job) if job else await refuse(request, _no_such_job(request))

    async def cancel_job(self, request: web.Request) -> web.StreamResponse:
        """`{}`, whatever comes of it."""
        if job := self._find(request):
            self._jobs.cancel(job)
            return send_json(200, {})
        return await refuse(request, _no_such_job(request))

    async def delete_job(self, request: web.Request) -> web.StreamResponse:
        """Gone from lists at once."""
        if job := self._find(request):
            self._jobs.delete(job)
            return send_json(200, {})
        return await refuse(request, _no_such_job(request))

    def _find(self, request: web.Request) -> Job | None:
        return self._jobs.find(f"batches/{request.match_info['name']}", self._jobs.project_of(key_of(request)))

    def _told(self, job: Job) -> web.Response:
        return send_json(200, operation(job, self._state.clock()))


def _failure(fault: BatchFault) -> Behaviour:
    if fault.code == 429:
        return _FULL
    return HttpError(fault.code) if fault.code else Broken(Breakage.DROP)


def _no_such_job(request: web.Request) -> HttpError:
    return HttpError(404, f"Requested entity was not found: batches/{request.match_info['name']}")


def _requests(source: dict[str, Any]) -> list[dict[str, Any]]:
    return list(source["requests"]["requests"])


def _inline(entry: dict[str, Any]) -> dict[str, Any]:
    return {"key": (entry.get("metadata") or {}).get("key", ""), "request": entry["request"]}
