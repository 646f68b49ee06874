"""Sends a file to the File API in parts, each again from where the other side has lost it.

https://ai.google.dev/gemini-api/docs/files: the server chooses the name, as one that was chosen is taken for ever
once its upload has broken off (googleapis/python-genai#913).
"""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from tasks.core.clock import Sleep
from tasks.core.errors import ApiError, MalformedAnswer
from tasks.core.gemini.calls import SHORT, TRANSFER, Calls, Send, plain_errors
from tasks.core.text import one_line

PART_BYTES = 8 * 1024 * 1024
PART_TRIES = 5
_STATUS, _RECEIVED, _URL = "X-Goog-Upload-Status", "X-Goog-Upload-Size-Received", "X-Goog-Upload-URL"


async def start_upload(calls: Calls, size: int, mime_type: str, name: str) -> str:
    """Announce a file; returns the address that its parts go to, which needs no key."""
    headers = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": str(size),
        "X-Goog-Upload-Header-Content-Type": mime_type,
    }
    send = Send(headers=headers, body={"file": {"displayName": name, "mimeType": mime_type}})

    async def start(version: str) -> str:
        async with calls.answer("post", "upload/{api_version}/files", version, send) as response:
            return response.headers.get(_URL, "")

    if not (url := await calls.looked_for(start)):
        raise MalformedAnswer(f"an upload was begun, and no {_URL} came back")
    return url


async def received(session: aiohttp.ClientSession, url: str) -> int | None:
    """How much of an upload there is; None where that cannot be said, or it is over: then it is to begin anew."""
    with suppress(ApiError, ConnectionError), plain_errors():
        headers = {"X-Goog-Upload-Command": "query"}
        async with session.post(url, headers=headers, timeout=SHORT) as response:
            size = response.headers.get(_RECEIVED, "")
            if response.headers.get(_STATUS) == "active" and size.isdecimal():
                return int(size)
    return None


async def send_parts(
    session: aiohttp.ClientSession,
    url: str,
    path: Path,
    size: int,
    sleep: Sleep,
    sent: Callable[[int], object],
    offset: int = 0,
) -> str:
    """The file at `path` from `offset` on; returns the name that the API gives it.

    `sent`: hears how much of it has arrived.
    """
    failures = 0
    while True:
        part = await asyncio.to_thread(_read, path, offset)
        last = offset + len(part) >= size
        try:
            body = await _send(session, url, part, offset, last)
            offset, failures = offset + len(part), 0
            sent(offset)
            if last:
                return _name_of(body)
        except (ApiError, ConnectionError) as error:
            failures += 1
            if failures >= PART_TRIES or (isinstance(error, ApiError) and error.code < 500):
                raise
            await sleep(2.0**failures)
            there = await received(session, url)
            if there is None:
                raise
            offset = there


async def _send(session: aiohttp.ClientSession, url: str, part: bytes, offset: int, last: bool) -> str:
    command = "upload, finalize" if last else "upload"
    headers = {"X-Goog-Upload-Offset": str(offset), "X-Goog-Upload-Command": command}
    with plain_errors():
        # As a stream: aiohttp warns of bytes of this size.
        async with session.post(url, data=aiohttp.BytesPayload(part), headers=headers, timeout=TRANSFER) as response:
            return await response.text()


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as content:
        content.seek(offset)
        return content.read(PART_BYTES)


def _name_of(body: str) -> str:
    try:
        return str(json.loads(body)["file"]["name"])
    except (ValueError, KeyError, TypeError):
        raise MalformedAnswer(f"an upload ended with no file: {one_line(body, 100)}") from None
