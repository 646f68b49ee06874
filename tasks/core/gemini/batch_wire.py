"""Reads what the Batch API sends: jobs, and lines of results. As lenient as wire.py, and it judges nothing either."""

import json
from typing import Any

from tasks.core.batches import BatchJob, JobPage, ResultLine
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.gemini.lenient import Json, root_object
from tasks.core.gemini.wire import read_answer
from tasks.core.text import one_line

# A line's error has a code of gRPC, and outcomes are told by those of HTTP:
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_HTTP = {
    1: (499, "CANCELLED"),
    2: (500, "UNKNOWN"),
    3: (400, "INVALID_ARGUMENT"),
    4: (504, "DEADLINE_EXCEEDED"),
    5: (404, "NOT_FOUND"),
    6: (409, "ALREADY_EXISTS"),
    7: (403, "PERMISSION_DENIED"),
    8: (429, "RESOURCE_EXHAUSTED"),
    9: (400, "FAILED_PRECONDITION"),
    10: (409, "ABORTED"),
    11: (400, "OUT_OF_RANGE"),
    12: (501, "UNIMPLEMENTED"),
    13: (500, "INTERNAL"),
    14: (503, "UNAVAILABLE"),
    15: (500, "DATA_LOSS"),
    16: (401, "UNAUTHENTICATED"),
}


def read_job(body: str) -> BatchJob:
    """The job in the body of a 2xx.

    Raises:
        MalformedAnswer: it is no job.
    """
    job = _job(root_object(body))
    if not job.name:
        raise MalformedAnswer(f"no batch job: {one_line(body, 100)}")
    return job


def read_page(body: str) -> JobPage:
    """The jobs on a page of a list; raises as `read_job`."""
    root = root_object(body)
    listed = root.get("operations")
    jobs = tuple(_job(entry) for entry in (listed if isinstance(listed, list) else []) if isinstance(entry, dict))
    return JobPage(jobs, _text(root.get("nextPageToken")))


def read_line(line: bytes, model: str) -> ResultLine | None:
    """None where nothing can be read of it: it is cut, or no line of results."""
    try:
        root = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(root, dict) or not isinstance(root.get("key"), str):
        return None
    if isinstance(response := root.get("response"), dict):
        try:
            return ResultLine(root["key"], read_answer(json.dumps(response), model))
        except ApiError as refusal:
            return ResultLine(root["key"], refusal)
    failures = [found for name in ("error", "status") if isinstance(found := root.get(name), dict)]
    return ResultLine(root["key"], _error(failures[0])) if failures else None


def _job(root: Json) -> BatchJob:
    metadata, stats = _object(root.get("metadata")), _object(_object(root.get("metadata")).get("batchStats"))
    places = (_object(metadata.get("output")), _object(root.get("response")), _object(metadata.get("dest")))
    error = _object(root.get("error"))
    return BatchJob(
        name=_text(root.get("name")) or _text(metadata.get("name")),
        display_name=_text(metadata.get("displayName")),
        state=_text(metadata.get("state")).rpartition("_")[2],
        done=root.get("done") is True,
        results_file=next((file for place in places if (file := _text(place.get("responsesFile")))), ""),
        error=_error(error) if error else None,
        requests=_count(stats.get("requestCount")),
        succeeded=_count(stats.get("successfulRequestCount")),
        failed=_count(stats.get("failedRequestCount")),
    )


def _error(found: Json) -> ApiError:
    code, status = _HTTP.get(_count(found.get("code")), (500, "UNKNOWN"))
    details = found.get("details")
    message = one_line(_text(found.get("message")) or "no reason is given")
    return ApiError(code, status, message, [each for each in details or [] if isinstance(each, dict)])


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int:
    """An int64 travels as a string."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
