"""Answers the rows of batch jobs as online calls are answered, and describes jobs as the API does.

Each row that is answered is noted in the ledger when it is, so a row that was paid for twice shows. Must not know HTTP.
Bodies are those of recordings of the real API.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.emulator.batch_faults import FaultKind, Faults
from deployments.emulator.batch_jobs import Job, JobState
from deployments.emulator.behaviours import Answer, Behaviour, Blocked, Finish, HttpError, RateLimited
from deployments.emulator.replies import Body, blocked_body, candidate_body, error_body, text_of, usage_of
from deployments.emulator.state import EmulatorState
from deployments.emulator.wire import BadRequestError, Call, parse_call

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch"
_GRPC = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 409: 10, 429: 8, 499: 1, 501: 12, 503: 14, 504: 4}
_INTERNAL = 13


class Rows:
    """What becomes of the rows of all jobs."""

    def __init__(self, state: EmulatorState, faults: Callable[[], Faults]) -> None:
        self._state, self._faults = state, faults

    def answer(self, job: Job, line: bytes) -> tuple[bytes, bool]:
        """The line of results for a line of input, and whether it holds an answer."""
        try:
            root = json.loads(line)
            key, request = root["key"], root["request"]
        except (ValueError, KeyError, TypeError):
            return _line("", "error", _error(3, "Could not parse the line.")), False
        for kind, name in ((FaultKind.ERROR_LINE, "error"), (FaultKind.STATUS_LINE, "status")):
            if fault := self._faults().take(kind):
                return _line(key, name, _error(fault.code, "Injected.")), False
        try:
            body, state = json.dumps(request).encode(), self._state
            call = parse_call("v1", job.model, body, state.files.use, state.caches.use)
        except BadRequestError as error:
            return _line(key, "error", _refusal(error.refusal, job.model)), False
        return self._answered(key, call)

    def _answered(self, key: str, call: Call) -> tuple[bytes, bool]:
        state, digest = self._state, call.digest
        state.ledger.note_call(call, digest)
        behaviour = state.decide(call, digest).behaviour
        state.ledger.note_behaviour(behaviour)
        body = self._response(call, behaviour)
        if body is None:
            return _line(key, "error", _refusal(behaviour, call.model)), False
        body["usageMetadata"]["serviceTier"] = "SERVICE_TIER_BATCH"
        return _line(key, "response", body), True

    def _response(self, call: Call, behaviour: Behaviour) -> Body | None:
        """None where there is none."""
        state = self._state
        match behaviour:
            case Answer() | Finish():
                text = text_of(behaviour, state.answer(call))
                if text is not None:
                    state.ledger.note_answer(call.digest, usage_of(call, text), state.clock())
                    state.ledger.batch_answers += 1
                return candidate_body(call, behaviour, text, state.next_response_id())
            case Blocked():
                return blocked_body(call, behaviour, state.next_response_id())
            case _:
                return None


def operation(job: Job, now: float) -> Body:
    """The job as `get`, `list` and `batchGenerateContent` describe it."""
    moment = datetime.now(UTC)
    created = _time(moment - timedelta(seconds=now - job.created_at))
    metadata: Body = {
        "@type": _TYPE,
        "model": f"models/{job.model}",
        "displayName": job.display_name,
        "createTime": created,
        "updateTime": created,
        "batchStats": _stats(job),
        "state": f"BATCH_STATE_{job.state}",
        "name": job.name,
    }
    body: Body = {"name": job.name, "metadata": metadata}
    if job.ended_at is None:
        return body
    metadata["endTime"] = _time(moment - timedelta(seconds=now - job.ended_at))
    body["done"] = True
    if job.results:
        metadata["output"] = _output(job)
        body["response"] = {"@type": f"{_TYPE}Output"} | _output(job)
    if job.state is JobState.FAILED:
        body["error"] = _error(job.error_code or _INTERNAL, "The batch job failed.")
    return body


def _output(job: Job) -> Body:
    if not job.inline:
        return {"responsesFile": job.results_file}
    found = [json.loads(line) for line in job.results]
    return {"inlinedResponses": {"inlinedResponses": [{"metadata": {"key": one.pop("key")}} | one for one in found]}}


def _stats(job: Job) -> Body:
    """As strings; what is none is left out."""
    counts = {
        "requestCount": len(job.lines),
        "successfulRequestCount": len(job.results) - job.failures,
        "failedRequestCount": job.failures,
        "pendingRequestCount": 0 if job.state.ended else len(job.lines) - len(job.results),
    }
    return {name: str(count) for name, count in counts.items() if count}


def _line(key: Any, name: str, body: Body) -> bytes:
    return json.dumps({"key": key, name: body}, ensure_ascii=False).encode()


def _refusal(behaviour: Behaviour, model: str) -> Body:
    if isinstance(behaviour, HttpError):
        said = error_body(behaviour, model, "v1")["error"]
        return _error(_GRPC.get(behaviour.code, _INTERNAL), said["message"])
    return _error(8 if isinstance(behaviour, RateLimited) else _INTERNAL, "The request could not be processed.")


def _error(code: int, message: str) -> Body:
    return {"code": code, "message": message}


def _time(moment: datetime) -> str:
    """With nanoseconds, which not every reader of dates takes."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}123Z"
