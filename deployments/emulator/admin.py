"""Routes under `/emulator/` by which another process reads the counts and changes the settings.

They count as no request and need no key. A setting that cannot be read is refused with 400 and the reason.

    GET  stats          Stats
    GET  latencies      [[start_seconds, latency_seconds, elapsed_seconds, status], ...]
    GET  requests       [Seen, ...]
    POST rules          [Rule, ...]                    replaces all rules
    POST limits         ApiLimits
    POST latency        Latency
    POST availability   {"outage": Behaviour | null}   what everybody meets until the next such call
    GET  batches        {"jobs": [[name, display name, state], ...], "calls": {...}, "faults": {...}}, newest first
    POST batches        {"pending_seconds": 0, "running_seconds": 0, "limits": BatchLimits, "page_size": 100}
    POST batch-faults   [BatchFault, ...]              replaces those that have not struck
    POST forward        {"seconds": 3600}              the clock is ahead by so much more
    POST reset          -
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from deployments.emulator.batch_faults import BatchFault
from deployments.emulator.batch_jobs import BatchLimits, Jobs
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


@dataclass(frozen=True, slots=True)
class _Forward:
    seconds: float


@dataclass(frozen=True, slots=True)
class _Batches:
    pending_seconds: float = 0.0
    running_seconds: float = 0.0
    limits: BatchLimits = field(default_factory=BatchLimits)
    page_size: int = 100

    def set(self, jobs: Jobs) -> None:
        jobs.pending_seconds, jobs.running_seconds = self.pending_seconds, self.running_seconds
        jobs.limits, jobs.page_size = self.limits, self.page_size


def add_admin_routes(app: web.Application, state: EmulatorState, jobs: Jobs, forward: Callable[[float], None]) -> None:
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
    app.router.add_get("/emulator/batches", _reader(lambda: _batches(jobs)))
    app.router.add_post("/emulator/batches", _writer(TypeAdapter(_Batches), lambda settings: settings.set(jobs)))
    app.router.add_post("/emulator/batch-faults", _writer(TypeAdapter(list[BatchFault]), jobs.faults.set))
    app.router.add_post("/emulator/forward", _writer(TypeAdapter(_Forward), lambda by: forward(by.seconds)))
    app.router.add_post("/emulator/reset", _reader(state.reset))


def _batches(jobs: Jobs) -> dict[str, Any]:
    known = [[job.name, job.display_name, job.state] for job in jobs.all()]
    return {"jobs": known, "calls": jobs.calls, "faults": jobs.faults.struck}


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
