"""Routes under `/emulator/` by which another process reads the counts and changes the settings.

They count as no request and need no key. A setting that cannot be read is refused with 400 and the reason.

    GET  stats          Stats
    GET  latencies      [[start_seconds, latency_seconds, elapsed_seconds, status], ...]
    GET  requests       [Seen, ...]
    POST rules          [Rule, ...]                    replaces all rules
    POST limits         ApiLimits
    POST latency        Latency
    POST availability   {"outage": Behaviour | null}   what everybody meets until the next such call
    POST reset          -
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, astuple, dataclass
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from deployments.emulator.behaviours import Behaviour
from deployments.emulator.latency import Latency
from deployments.emulator.limits import ApiLimits
from deployments.emulator.rules import Rule
from deployments.emulator.state import EmulatorState

RULES: TypeAdapter[list[Rule]] = TypeAdapter(list[Rule])
_LATENCY: TypeAdapter[Latency] = TypeAdapter(Latency)

type _Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class _Availability:
    outage: Behaviour | None


def add_admin_routes(app: web.Application, state: EmulatorState) -> None:
    """Serve the admin routes from `app`."""
    app.router.add_get("/emulator/stats", _reader(lambda: asdict(state.ledger.snapshot())))
    app.router.add_get("/emulator/latencies", _reader(lambda: [astuple(t) for t in state.ledger.timings]))
    app.router.add_get("/emulator/requests", _reader(lambda: [asdict(s) for s in state.ledger.last_requests]))
    app.router.add_post("/emulator/rules", _writer(RULES, state.set_rules))
    app.router.add_post("/emulator/limits", _writer(TypeAdapter(ApiLimits), state.set_limits))
    app.router.add_post("/emulator/latency", _writer(_LATENCY, state.set_latency))
    app.router.add_post(
        "/emulator/availability",
        _writer(TypeAdapter(_Availability), lambda availability: state.set_outage(availability.outage)),
    )
    app.router.add_post("/emulator/reset", _reader(state.reset))


def _reader(read: Callable[[], Any]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(text=json.dumps(read()), content_type="application/json")

    return handle


def _writer[T](adapter: TypeAdapter[T], write: Callable[[T], None]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            value = adapter.validate_json(await request.read())
        except ValidationError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        write(value)
        return web.json_response({})

    return handle
