"""Carries a behaviour out on a connection, broken ones included. Must not choose it or count it."""

import asyncio
import json
from datetime import UTC, datetime

from aiohttp import web

from deployments.emulator.behaviours import (
    Answer,
    Behaviour,
    Blocked,
    Breakage,
    Broken,
    Finish,
    HttpError,
    RateLimited,
    Redirect,
)
from deployments.emulator.replies import (
    Body,
    blocked_body,
    candidate_body,
    delay_headers,
    error_body,
    rate_limited_body,
)
from deployments.emulator.wire import Call

_PAGE = "<!DOCTYPE html><html><title>Sorry</title><body><h1>502. That is an error.</h1></body></html>"


async def send(
    request: web.Request, behaviour: Behaviour, call: Call, text: str | None = None, response_id: str = ""
) -> web.StreamResponse:
    """Answer `request` as `behaviour` says. `text` is the generated text, None if nothing was generated.

    The response has status 0 if no header was sent.
    """
    match behaviour:
        case Answer() | Finish():
            code = behaviour.code if isinstance(behaviour, Answer) else 200
            return send_json(code, candidate_body(call, behaviour, text, response_id))
        case Blocked():
            return send_json(200, blocked_body(call, behaviour, response_id))
        case RateLimited():
            return _send_error(behaviour, rate_limited_body(behaviour, call.model))
        case HttpError():
            return _send_error(behaviour, error_body(behaviour, call.model, call.version))
        case Redirect():
            return web.Response(status=behaviour.code, headers={"Location": behaviour.location})
        case Broken():
            return await _break(request, behaviour.how)


async def refuse(request: web.Request, behaviour: Behaviour) -> web.StreamResponse:
    """Answer a request that is not about a model with a refusal."""
    return await send(request, behaviour, Call(request.match_info["version"], "", prompt=""))


def key_of(request: web.Request) -> str | None:
    """The key that a request came with."""
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return request.headers.get("x-goog-api-key") or bearer or request.query.get("key")


def send_json(status: int, body: Body) -> web.Response:
    """A JSON response with the content type of the real API."""
    content = json.dumps(body).encode()
    return web.Response(status=status, body=content, headers={"Content-Type": "application/json; charset=UTF-8"})


def _send_error(error: HttpError | RateLimited, body: Body) -> web.Response:
    response = send_json(error.code, body)
    response.headers.update(delay_headers(error, datetime.now(UTC)))
    return response


async def _break(request: web.Request, how: Breakage) -> web.StreamResponse:
    match how:
        case Breakage.NO_CONTENT:
            return web.Response(status=204)
        case Breakage.EMPTY_BODY:
            return web.Response(body=b"", content_type="application/json")
        case Breakage.EMPTY_JSON:
            return send_json(200, {})
        case Breakage.HTML:
            return web.Response(text=_PAGE, content_type="text/html")
        case Breakage.CUT_BODY:
            return await _cut(request)
        case Breakage.DROP:
            return _drop(request)
        case Breakage.HANG:
            await asyncio.Event().wait()  # cancelled when the client goes away
            raise AssertionError("unreachable")


async def _cut(request: web.Request) -> web.StreamResponse:
    content = b'{"candidates": [{"content": {"parts": [{"text": "This sentence is never'
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=UTF-8"})
    response.content_length = 2 * len(content)
    await response.prepare(request)
    await response.write(content)
    if request.transport is not None:
        request.transport.close()
    return response


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=0)
