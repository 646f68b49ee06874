"""Ends a run at an exact request of it: before the API has heard the request, or once it is done and not answered.

Stands in the emulator as a middleware of aiohttp; the run knows nothing of it.
"""

import asyncio
import json
import re
import signal
from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tests.chaos_processes import Process

_CALLS = {
    "POST .*:batchGenerateContent": "create",
    "POST .*:cancel": "cancel",
    "POST /upload/.*": "upload",
    "GET .*:download": "download",
    "GET .*/batches": "list",
    "GET .*/batches/.*": "get",
    "DELETE .*/files/.*": "delete",
}


@dataclass(frozen=True, slots=True)
class Death:
    """At which request of a run, the first being 0; `after`: once it is done. `by`: SIGKILL, or a wish to end."""

    request: int
    after: bool = False
    by: signal.Signals = signal.SIGKILL


@dataclass
class Reaper:
    """`requests`: of the run that is watched now; `creates`: of all, by the name of the job that they ask for."""

    requests: list[str] = field(default_factory=list)
    creates: Counter[str] = field(default_factory=Counter)
    _victim: Process | None = None
    _death: Death | None = None

    def watch(self, victim: Process, death: Death | None) -> None:
        self.requests, self._victim, self._death = [], victim, death

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
            number, death = len(self.requests), self._death
            self.requests.append(await self._told(request))
            strikes = death is not None and death.request == number
            if strikes and death and not death.after:
                await self._strike(death)
            response = await handler(request)
            if strikes and death and death.after:
                await self._strike(death)
            return response

        return around

    async def _told(self, request: web.Request) -> str:
        asked = f"{request.method} {request.path}"
        call = next((call for pattern, call in _CALLS.items() if re.fullmatch(pattern, asked)), asked)
        if call == "create":
            self.creates[json.loads(await request.read())["batch"]["displayName"]] += 1
        return call

    async def _strike(self, death: Death) -> None:
        assert self._victim
        self._victim.send_to_group(death.by) if death.by is signal.SIGINT else self._victim.send(death.by)
        if death.by is signal.SIGKILL:
            await asyncio.sleep(60)  # until its connection is gone, and this with it
