"""The routes of the File API: resumable upload, download, `files.get`, `files.list`, `files.delete`. Vertex has none.

Results of batch jobs are files as well: they can be downloaded, and are in no list.
"""

import json

from aiohttp import web

from deployments.emulator.batch_faults import FaultKind
from deployments.emulator.batch_jobs import Jobs
from deployments.emulator.behaviours import Behaviour, HttpError
from deployments.emulator.files import MOST_NAME_CHARS, StoredFile, no_such_file
from deployments.emulator.send import key_of, refuse, send_json
from deployments.emulator.state import EmulatorState

_VERSION = "{version:v1|v1beta}"
_UPLOAD = "/upload/" + _VERSION + "/files"
_STATUS, _RECEIVED = "X-Goog-Upload-Status", "X-Goog-Upload-Size-Received"


def add_file_routes(app: web.Application, state: EmulatorState, jobs: Jobs) -> None:
    """Serve the File API from `app`."""
    api = _FileApi(state, jobs)
    app.router.add_post(_UPLOAD, api.upload)
    app.router.add_get(f"/{_VERSION}/files", api.list_files)
    for place in ("", "/download"):
        app.router.add_get(f"{place}/{_VERSION}/files/{{name}}:download", api.download)
    app.router.add_get(f"/{_VERSION}/files/{{name}}", api.get_file)
    app.router.add_delete(f"/{_VERSION}/files/{{name}}", api.delete_file)


class _FileApi:
    def __init__(self, state: EmulatorState, jobs: Jobs) -> None:
        self._state, self._files, self._jobs = state, state.files, jobs

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Its start, which needs a key, and its parts, to the address that the start has given."""
        command = request.headers.get("X-Goog-Upload-Command", "")
        if "start" in command:
            return await self._start(request)
        number, offset = request.query.get("upload_id", ""), int(request.headers.get("X-Goog-Upload-Offset") or 0)
        if command == "query":
            received = self._files.received(number)
            if received is None:
                return await refuse(request, HttpError(404, "There is no such upload."))
            return web.Response(headers={_STATUS: "active", _RECEIVED: str(received)})
        data = await request.read()
        if self._jobs.faults.take(FaultKind.CHUNK_FAILS):
            return await refuse(request, HttpError(500))
        if self._jobs.faults.take(FaultKind.CHUNK_CUT):
            self._files.go_on(number, data[: len(data) // 2], offset)
            return _cut(request)
        if not self._files.go_on(number, data, offset):
            return await refuse(request, HttpError(400, "Upload offset or id is invalid."))
        if "finalize" not in command:
            return web.Response(headers={_STATUS: "active"})
        response = send_json(200, {"file": self._body(request, self._files.end(number))})
        response.headers[_STATUS] = "final"
        return response

    async def _start(self, request: web.Request) -> web.StreamResponse:
        self._jobs.calls["upload"] += 1
        file = json.loads(await request.read() or b"{}").get("file") or {}
        if fault := self._jobs.faults.take(FaultKind.UPLOAD_REFUSED):
            return await refuse(request, HttpError(fault.code))
        mime_type = request.headers.get("X-Goog-Upload-Header-Content-Type", "")
        size = request.headers.get("X-Goog-Upload-Header-Content-Length") or 0
        started = self._state.refuse_caller(key_of(request)) or self._files.start(file, mime_type, int(size))
        if not isinstance(started, str):
            return await refuse(request, started)
        url = f"{_base(request)}{request.path}?upload_id={started}&upload_protocol=resumable"
        return web.Response(headers={"X-Goog-Upload-URL": url, _STATUS: "active"})

    async def list_files(self, request: web.Request) -> web.StreamResponse:
        """All on one page."""
        if refusal := self._state.refuse_caller(key_of(request)):
            return await refuse(request, refusal)
        return send_json(200, {"files": [self._body(request, file) for file in self._files.all()]})

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """403 where there is none, as for somebody else's."""
        found = self._found(request)
        return (
            send_json(200, self._body(request, found))
            if isinstance(found, StoredFile)
            else await refuse(request, found)
        )

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Only what the API has made itself, such as the results of batch jobs."""
        self._jobs.calls["download"] += 1
        if refusal := self._state.refuse_caller(key_of(request)):
            return await refuse(request, refusal)
        if fault := self._jobs.faults.take(FaultKind.DOWNLOAD_FAILS):
            return await refuse(request, HttpError(fault.code))
        name = request.match_info["name"]
        job = self._jobs.results_of(f"files/{name}", self._jobs.project_of(key_of(request)))
        if job is None:
            return await refuse(request, no_such_file(name))
        content = b"".join(line + b"\n" for line in job.results)
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        response.content_length = len(content)
        await response.prepare(request)
        if self._jobs.faults.take(FaultKind.DOWNLOAD_CUT):
            await response.write(content[: len(content) // 2])
            _cut(request)
        else:
            await response.write(content)
        return response

    async def delete_file(self, request: web.Request) -> web.StreamResponse:
        """Gone at once; a name that is too long for an upload is none."""
        if len(request.match_info["name"]) > MOST_NAME_CHARS:
            return await refuse(request, HttpError(400, "* DeleteFileRequest.name: name is too long"))
        found = self._found(request)
        if not isinstance(found, StoredFile):
            return await refuse(request, found)
        self._files.delete(found.name)
        return send_json(200, {})

    def _found(self, request: web.Request) -> StoredFile | Behaviour:
        name = request.match_info["name"]
        return self._state.refuse_caller(key_of(request)) or self._files.find(f"files/{name}") or no_such_file(name)

    def _body(self, request: web.Request, file: StoredFile) -> dict[str, object]:
        return self._files.body_of(file, _base(request))


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=0)


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
