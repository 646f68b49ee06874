"""The routes of the Gemini API: `generateContent`, `models.list`, `models.get`; plain and under Vertex paths.

Must not hold settings or counts: it asks `EmulatorState` what to do and tells its ledger what was done.
"""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from deployments.emulator.behaviours import UNKNOWN_MODEL, Answer, Behaviour, Finish, HttpError, is_billed
from deployments.emulator.replies import Body, model_body, text_of, usage_of
from deployments.emulator.send import key_of, send, send_json
from deployments.emulator.state import EmulatorState
from deployments.emulator.wire import BadRequestError, Call, parse_call, parse_counted

_VERSION = "{version:v1|v1beta|v1beta1}"
_PARENT = "{parent:(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/google/)?}"
_PAGE_SIZE = 50


def add_api_routes(app: web.Application, state: EmulatorState) -> None:
    """Serve the API from `app`."""
    api = _Api(state)
    models = f"/{_VERSION}/{_PARENT}models"
    app.router.add_post(models + "/{model}:generateContent", api.generate)
    app.router.add_post(models + "/{model}:countTokens", api.count_tokens)
    app.router.add_get(models, api.list_models)
    app.router.add_get(models + "/{model}", api.get_model)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is going to be done. A refused call is not asked for its digest, and waits for nothing."""

    call: Call
    behaviour: Behaviour
    latency_seconds: float = 0.0
    digest: str = ""


class _Api:
    def __init__(self, state: EmulatorState) -> None:
        self._state = state

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """`POST …/models/{model}:generateContent`."""
        ledger, arrived = self._state.ledger, self._state.clock()
        with ledger.request(arrived):
            try:
                plan = self._plan(request, await request.read())
                ledger.note_behaviour(plan.behaviour)
                if plan.latency_seconds > 0:
                    await asyncio.sleep(plan.latency_seconds)
                text = self._text(plan)
                if text is not None:
                    ledger.note_answer(plan.digest, usage_of(plan.call, text), self._state.clock())
                reply = await send(request, plan.behaviour, plan.call, text, self._state.next_response_id())
            except asyncio.CancelledError:  # the client went away
                ledger.abandoned += 1
                raise
            ledger.note_reply(reply.status, arrived, plan.latency_seconds, self._state.clock())
        return reply

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        """`POST …/models/{model}:countTokens`: of bare contents, or of a request as `generateContent` takes it."""
        refusal = self._refusal(request)
        if refusal is not None:
            return await send(request, refusal, _unread_call(request))
        try:
            call = parse_counted(*_path_of(request), await request.read(), self._state.files.use)
        except BadRequestError as error:
            return await send(request, error.refusal, _unread_call(request))
        tokens = usage_of(call, None).prompt_tokens
        return send_json(200, {"totalTokens": tokens})

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        """`GET …/models?pageSize=&pageToken=`. A page token is the number of the next model."""
        refusal = self._state.refuse_caller(key_of(request))
        if refusal is not None:
            return await send(request, refusal, _unread_call(request))
        try:
            start = int(request.query.get("pageToken") or 0)
            end = start + (int(request.query.get("pageSize") or 0) or _PAGE_SIZE)
        except ValueError:
            return await send(request, HttpError(400), _unread_call(request))
        names = self._state.models
        listed = "publisherModels" if "publishers/" in request.match_info["parent"] else "models"
        body: Body = {listed: [model_body(name) for name in names[start:end]]}
        return send_json(200, body | ({"nextPageToken": str(end)} if end < len(names) else {}))

    async def get_model(self, request: web.Request) -> web.StreamResponse:
        """`GET …/models/{model}`."""
        refusal = self._refusal(request)
        if refusal is not None:
            return await send(request, refusal, _unread_call(request))
        return send_json(200, model_body(request.match_info["model"]))

    def _plan(self, request: web.Request, body: bytes) -> _Plan:
        """Decide at one go, without awaiting: so counted limits are exact under any concurrency."""
        state, unread = self._state, _unread_call(request)
        refusal = self._refusal(request)
        if refusal is not None:
            return _Plan(unread, refusal)
        try:
            call = parse_call(unread.version, unread.model, body, state.files.use, state.caches.use)
        except BadRequestError as error:
            return _Plan(unread, error.refusal)
        digest = call.digest
        state.ledger.note_call(call, digest)
        limited = state.gate.refuse(state.clock())
        if limited is not None:
            return _Plan(call, limited)
        decision = state.decide(call, digest)
        if is_billed(decision.behaviour):
            state.gate.count_answer()
        return _Plan(call, decision.behaviour, state.draw(decision.latency), digest)

    def _refusal(self, request: web.Request) -> Behaviour | None:
        refusal = self._state.refuse_caller(key_of(request))
        if refusal is None and request.match_info["model"] not in self._state.models:
            return UNKNOWN_MODEL
        return refusal

    def _text(self, plan: _Plan) -> str | None:
        if isinstance(plan.behaviour, Answer | Finish):
            return text_of(plan.behaviour, self._state.answer(plan.call))
        return None


def _unread_call(request: web.Request) -> Call:
    """A call of which only the path is known."""
    return Call(*_path_of(request), prompt="")


def _path_of(request: web.Request) -> tuple[str, str]:
    """The version and the model that it names."""
    return request.match_info["version"], request.match_info.get("model", "")
