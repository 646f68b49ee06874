"""Who may speak to the local server: this user's own programs, and the UI's own pages.

A web page that the user visits can make the browser ask any address on this machine, under any name that leads there;
and any user of this machine can connect. Prefect's API checks the password of HTTP requests and WebSockets but lets
health checks through and takes every Host and Origin.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from flows.local_server.boot import PROOF, Boot, basic

HEALTH = "/api/health"  # the answer is `true`, and no more

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: App, boot: Boot) -> None:
        self._app = app
        self._boot = boot
        names = [f"{host}:{boot.port}" for host in ("127.0.0.1", "localhost")]
        self._hosts = {name.encode() for name in names}
        self._origins = {f"http://{name}".encode() for name in names}
        self._password = basic(boot.password).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._is_foreign(scope):
            await _refuse(scope, send, 403, f"This server is for pages of http://127.0.0.1:{self._boot.port} only.")
        elif scope["type"] == "http" and scope["path"].startswith(PROOF):
            await respond(send, 200, self._boot.proof(scope["path"].removeprefix(PROOF)))
        elif scope["type"] == "http" and self._lacks_password(scope):
            await _refuse(scope, send, 401, "Unauthorized")
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, scope: Scope) -> bool:
        hosts = _values(scope, b"host")
        if not hosts or not set(hosts) <= self._hosts or not set(_values(scope, b"origin")) <= self._origins:
            return True
        # What a page of another site, or of another port, embeds or loads; a link that is followed is no such thing.
        site, loads = _values(scope, b"sec-fetch-site"), _values(scope, b"sec-fetch-dest") != [b"document"]
        return loads and not set(site) <= {b"same-origin", b"none"}

    def _lacks_password(self, scope: Scope) -> bool:
        path = scope["path"]
        if path == HEALTH or not f"{path}/".startswith("/api/"):
            return False  # the UI's files are everybody's, and it asks without a password whether the API is there
        given = _values(scope, b"authorization")
        return len(given) != 1 or not hmac.compare_digest(given[0], self._password)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header.lower() == name]


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
    else:
        await respond(send, status, {"exception_message": why})


async def respond(send: Send, status: int, content: Any) -> None:
    """A whole HTTP response in JSON."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
