"""The emulator's life: a port to listen on, the settings it can be given, and what it has seen.

Must not know the API's routes (`api.py`) or its own admin routes' JSON (`admin.py`) beyond adding them.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Middleware

from deployments.emulator.admin import add_admin_routes
from deployments.emulator.answers import AnswerStyle, digest_of
from deployments.emulator.api import add_api_routes
from deployments.emulator.batch_api import add_batch_routes
from deployments.emulator.batch_jobs import Jobs
from deployments.emulator.batch_rows import Rows
from deployments.emulator.behaviours import Behaviour
from deployments.emulator.cache_api import add_cache_routes
from deployments.emulator.caches import Caches
from deployments.emulator.file_api import add_file_routes
from deployments.emulator.files import Files
from deployments.emulator.latency import Constant, Latency
from deployments.emulator.ledger import Seen, Stats, Timing
from deployments.emulator.limits import ApiLimits
from deployments.emulator.rules import Rule
from deployments.emulator.state import DEFAULT_MODELS, EmulatorState

_SHUTDOWN_SECONDS = 0.05
_BACKLOG = 2048
_MAX_BODY_BYTES = 110 * 1024 * 1024  # the API takes 100 MB of base64


class Emulator:
    """A Gemini API on 127.0.0.1. Enter it with `async with`, or with `with emulator.in_thread()`.

    rules: what happens to which request; all are answered by default.
    latency: from a request's arrival to its reply, unless its rule has its own. Refusals of `limits`, of the
        key, of the model and during an outage come at once.
    valid_keys: keys that are let in; None lets in every key. A request without any key is never let in.
    seed: makes latencies and probabilities repeatable, as far as requests come in the same order.
    port: 0 takes a free one. clock: seconds, for the limits and the log. middlewares: of aiohttp, around every route.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        latency: Latency | None = None,
        limits: ApiLimits | None = None,
        style: AnswerStyle = AnswerStyle.DIGEST,
        models: Sequence[str] = DEFAULT_MODELS,
        valid_keys: Sequence[str] | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self._clock, self._ahead_seconds = clock, 0.0
        self._state = EmulatorState(
            rules=tuple(rules),
            latency=latency or Constant(),
            limits=limits or ApiLimits(),
            style=style,
            models=tuple(models),
            valid_keys=None if valid_keys is None else frozenset(valid_keys),
            seed=seed,
            clock=self.now,
        )
        self._jobs = Jobs(self.now, Rows(self._state, lambda: self._jobs.faults).answer)
        self._state.files.beside = self._jobs.stored
        self._host = host
        self._port = port
        self._middlewares = middlewares
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Base URL for `HttpOptions(base_url=...)`. Raises RuntimeError while the emulator is not running."""
        if self._runner is None:
            raise RuntimeError("the emulator is not running: enter it with `async with` or `in_thread()`")
        return f"http://{self._host}:{self._port}"

    @property
    def stats(self) -> Stats:
        """The counts at this moment."""
        return self._state.ledger.snapshot()

    @property
    def timings(self) -> list[Timing]:
        """One entry a reply, in the order of the replies (the last million)."""
        return list(self._state.ledger.timings)

    @property
    def last_requests(self) -> list[Seen]:
        """The last thousand requests, oldest first."""
        return list(self._state.ledger.last_requests)

    @property
    def files(self) -> Files:
        """The File API's: how long they live, what the next uploads meet, how many there were."""
        return self._state.files

    @property
    def caches(self) -> Caches:
        """What is cached: what the next ones meet that are to be made, how many there were."""
        return self._state.caches

    @property
    def batches(self) -> Jobs:
        """The Batch API's: how long jobs take, what goes wrong with them, how many there were."""
        return self._jobs

    def now(self) -> float:
        """The emulator's clock, in seconds."""
        return self._clock() + self._ahead_seconds

    def forward(self, seconds: float) -> None:
        """Let its clock be ahead by so much more: nobody waits for a batch job, or for a file to expire."""
        self._ahead_seconds += seconds

    def times_answered(self, prompt: str, image: bytes | None = None) -> int:
        """How often this prompt with this image was answered, and so paid for."""
        return self._state.ledger.answered[digest_of(prompt, image)]

    def set_rules(self, rules: Sequence[Rule]) -> None:
        """Replace the rules; their uses are counted from zero."""
        self._state.set_rules(rules)

    def set_limits(self, limits: ApiLimits) -> None:
        """Replace the limits; their counts begin at zero."""
        self._state.set_limits(limits)

    def set_latency(self, latency: Latency) -> None:
        """Replace the latency of requests that arrive from now on."""
        self._state.set_latency(latency)

    def set_outage(self, outage: Behaviour | None) -> None:
        """Let every request meet `outage`, before any rule or limit, until this is called with None."""
        self._state.set_outage(outage)

    def reset(self) -> None:
        """Forget all counts; rules, limits and the random generator start afresh.

        Settings, files, caches and batch jobs stay.
        """
        self._state.reset()

    async def __aenter__(self) -> Self:
        listener = socket.create_server((self._host, self._port), backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=self._middlewares)
        add_api_routes(app, self._state)
        add_file_routes(app, self._state, self._jobs)
        add_cache_routes(app, self._state)
        add_batch_routes(app, self._state, self._jobs)
        add_admin_routes(app, self._state, self._jobs, self.forward)
        # handler_cancellation: a handler ends when its client goes away, which is how HANG ends at all.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        self._runner = runner
        return self

    async def __aexit__(self, *exception: object) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @contextmanager
    def in_thread(self) -> Iterator[Self]:
        """Run in a thread with an event loop of its own, for code that has none."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="gemini-emulator", daemon=True)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.__aenter__(), loop).result()
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.__aexit__(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
