"""The routes of the File API: resumable upload, `files.get`, `files.list`, `files.delete`. Vertex has none of them."""

import json

from aiohttp import web

from deployments.emulator.behaviours import Behaviour, HttpError
from deployments.emulator.files import StoredFile, no_such_file
from deployments.emulator.send import send, send_json
from deployments.emulator.state import EmulatorState
from deployments.emulator.wire import Call

_VERSION = "{version:v1|v1beta}"
_UPLOAD = "/upload/" + _VERSION + "/files"


def add_file_routes(app: web.Application, state: EmulatorState) -> None:
    """Serve the File API from `app`."""
    api = _FileApi(state)
    app.router.add_post(_UPLOAD, api.upload)
    app.router.add_get(f"/{_VERSION}/files", api.list_files)
    app.router.add_get(f"/{_VERSION}/files/{{name}}", api.get_file)
    app.router.add_delete(f"/{_VERSION}/files/{{name}}", api.delete_file)


class _FileApi:
    def __init__(self, state: EmulatorState) -> None:
        self._state, self._files = state, state.files

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """Its start, which needs a key, and its parts, to the address that the start has given."""
        command = request.headers.get("X-Goog-Upload-Command", "")
        if "start" in command:
            return await self._start(request)
        number, offset = request.query.get("upload_id", ""), int(request.headers.get("X-Goog-Upload-Offset") or 0)
        if not self._files.go_on(number, await request.read(), offset):
            return await _refuse(request, HttpError(400, "Upload offset or id is invalid."))
        if "finalize" not in command:
            return web.Response(headers={"X-Goog-Upload-Status": "active"})
        response = send_json(200, {"file": self._body(request, self._files.end(number))})
        response.headers["X-Goog-Upload-Status"] = "final"
        return response

    async def _start(self, request: web.Request) -> web.StreamResponse:
        file = json.loads(await request.read() or b"{}").get("file") or {}
        refusal = self._state.refuse_caller(_key(request))
        started = refusal or self._files.start(file, request.headers.get("X-Goog-Upload-Header-Content-Type", ""))
        if not isinstance(started, str):
            return await _refuse(request, started)
        url = f"{_base(request)}{request.path}?upload_id={started}&upload_protocol=resumable"
        return web.Response(headers={"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})

    async def list_files(self, request: web.Request) -> web.StreamResponse:
        """All on one page."""
        if refusal := self._state.refuse_caller(_key(request)):
            return await _refuse(request, refusal)
        return send_json(200, {"files": [self._body(request, file) for file in self._files.all()]})

    async def get_file(self, request: web.Request) -> web.StreamResponse:
        """403 where there is none, as for somebody else's."""
        found = self._found(request)
        return (
            send_json(200, self._body(request, found))
            if isinstance(found, StoredFile)
            else await _refuse(request, found)
        )

    async def delete_file(self, request: web.Request) -> web.StreamResponse:
        """Gone at once."""
        found = self._found(request)
        if not isinstance(found, StoredFile):
            return await _refuse(request, found)
        self._files.delete(found.name)
        return send_json(200, {})

    def _found(self, request: web.Request) -> StoredFile | Behaviour:
        name = request.match_info["name"]
        return self._state.refuse_caller(_key(request)) or self._files.find(f"files/{name}") or no_such_file(name)

    def _body(self, request: web.Request, file: StoredFile) -> dict[str, object]:
        return self._files.body_of(file, _base(request))


async def _refuse(request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
    return await send(request, behaviour, Call(request.match_info["version"], "", prompt=""))


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _key(request: web.Request) -> str | None:
    return request.headers.get("x-goog-api-key") or request.query.get("key")
