"""The routes of `cachedContents`: create, list, get, patch, delete. Vertex has others."""

import json

from aiohttp import web

from deployments.emulator.behaviours import Behaviour, HttpError
from deployments.emulator.caches import CachedContent, no_such_cache
from deployments.emulator.replies import Body
from deployments.emulator.send import key_of, refuse, send_json
from deployments.emulator.state import EmulatorState
from deployments.emulator.wire import text_of_contents

_VERSION = "{version:v1|v1beta}"
_PAGE_SIZE = 50


def add_cache_routes(app: web.Application, state: EmulatorState) -> None:
    """Serve `cachedContents` from `app`."""
    api = _CacheApi(state)
    app.router.add_post(f"/{_VERSION}/cachedContents", api.create)
    app.router.add_get(f"/{_VERSION}/cachedContents", api.list_caches)
    one = f"/{_VERSION}/cachedContents/{{name}}"
    app.router.add_get(one, api.get_cache)
    app.router.add_patch(one, api.extend)
    app.router.add_delete(one, api.delete_cache)


class _CacheApi:
    def __init__(self, state: EmulatorState) -> None:
        self._state, self._caches = state, state.caches

    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST …/cachedContents`."""
        body = json.loads(await request.read())
        refusal = self._state.refuse_caller(key_of(request))
        prompt, system = (text_of_contents(body.get(name)) for name in ("contents", "systemInstruction"))
        made = refusal or self._caches.create(body, prompt or "", system)
        return send_json(200, self._body(made)) if isinstance(made, CachedContent) else await refuse(request, made)

    async def list_caches(self, request: web.Request) -> web.StreamResponse:
        """`GET …/cachedContents?pageSize=&pageToken=`. A page token is the number of the next one."""
        if refusal := self._state.refuse_caller(key_of(request)):
            return await refuse(request, refusal)
        start = int(request.query.get("pageToken") or 0)
        end = start + (int(request.query.get("pageSize") or 0) or _PAGE_SIZE)
        found = self._caches.alive()
        body: Body = {"cachedContents": [self._body(cache) for cache in found[start:end]]} if found else {}
        return send_json(200, body | ({"nextPageToken": str(end)} if end < len(found) else {}))

    async def get_cache(self, request: web.Request) -> web.StreamResponse:
        """403 where there is none, as for somebody else's."""
        found = self._found(request)
        return send_json(200, self._body(found)) if isinstance(found, CachedContent) else await refuse(request, found)

    async def extend(self, request: web.Request) -> web.StreamResponse:
        """`PATCH …/cachedContents/{name}?updateMask=ttl`."""
        found = self._found(request)
        if not isinstance(found, CachedContent):
            return await refuse(request, found)
        if request.query.get("updateMask") != "ttl":
            return await refuse(request, HttpError(400, "Only the expiration time of a CachedContent can be updated."))
        return send_json(200, self._body(self._caches.extend(found, json.loads(await request.read()))))

    async def delete_cache(self, request: web.Request) -> web.StreamResponse:
        """Gone at once."""
        found = self._found(request)
        if not isinstance(found, CachedContent):
            return await refuse(request, found)
        self._caches.delete(found.name)
        return send_json(200, {})

    def _found(self, request: web.Request) -> CachedContent | Behaviour:
        name = f"cachedContents/{request.match_info['name']}"
        return self._state.refuse_caller(key_of(request)) or self._caches.find(name) or no_such_cache()

    def _body(self, cache: CachedContent) -> Body:
        return self._caches.body_of(cache)
