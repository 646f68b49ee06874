"""Decides which media of a request go through the File API instead, each content once. Knows no API but by FileStore.

Through it goes what makes a request too large, and what more than one row uses, so that it is sent once. Nothing of it
is part of a sample's key.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from tasks.core.clock import Clock
from tasks.core.errors import ApiError, MediaError
from tasks.core.records import Media, MediaUri, Request, StoredFile

# Gemini's limits for the encoded request are 100 MB, and with PDF, audio or video 20 MB; base64 takes a third more than
# the bytes.
MAX_BYTES = 70_000_000
MAX_OTHER_BYTES = 15_000_000
SHARED_BYTES = 1_000_000  # what is smaller is sent with each row
MOST_SECONDS = 1800.0  # for one upload, with its processing
LEAST_LIFE_SECONDS = 3600.0
_REMEMBERED = 10_000  # media that one row has used so far


class FileStore(Protocol):
    """The File API of an endpoint."""

    exists: bool

    async def store(self, name: str, media: Media) -> StoredFile:
        """The file called `name`, `files/…`, ready for use; uploaded unless it is there.

        Raises:
            MediaError: it is refused, for good.
            ApiError, ConnectionError: not now.
        """
        ...


class Uploads:
    """What was uploaded in a run. Lives on one event loop."""

    def __init__(self, store: FileStore, now: Clock = time.time) -> None:
        self._store, self._now = store, now
        self._files: dict[str, asyncio.Task[StoredFile]] = {}
        self._seen = OrderedDict[str, int]()  # content, and the text that it came with

    async def sendable(self, request: Request) -> Request:
        """`request`, with addresses in the place of media that go through the File API.

        Raises:
            MediaError: one is too large for a request, and is refused by itself.
            ApiError, ConnectionError: one is too large, and cannot be uploaded now.
        """
        media = [part for part in request.parts if isinstance(part, Media)]
        needed = _too_much(media)
        uris: dict[int, MediaUri] = {}
        for medium in media:
            is_needed = any(medium is each for each in needed)
            if (is_needed or len(medium.data) >= SHARED_BYTES) and (uri := await self._uri(request, medium, is_needed)):
                uris[id(medium)] = uri
        if not uris:
            return request
        turns = (replace(turn, parts=tuple(uris.get(id(part), part) for part in turn.parts)) for turn in request.turns)
        return replace(request, turns=tuple(turns))

    def forget(self, request: Request) -> None:
        """The files that `request` names are gone."""
        uris = {part.uri for part in request.parts if isinstance(part, MediaUri)}
        for name, task in list(self._files.items()):
            if _succeeded(task) and task.result().uri in uris:
                del self._files[name]

    async def close(self) -> None:
        under_way = list(self._files.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _uri(self, request: Request, medium: Media, is_needed: bool) -> MediaUri | None:
        """Where it is; None where it goes along with the request."""
        if not self._store.exists:
            if is_needed:
                raise MediaError(
                    f"{len(medium.data):,} bytes are more than a request takes, and Vertex has no File API; gs:// URIs "
                    "work there"
                )
            return None
        name = await asyncio.to_thread(_name, medium)
        if not is_needed and name not in self._files and not self._is_shared(name, request):
            return None
        try:
            file = await self._stored(name, medium)
        except (ApiError, ConnectionError, MediaError):
            if is_needed:
                raise
            self._seen.pop(name, None)  # it goes along for now
            return None
        return MediaUri(file.uri, file.mime_type)

    def _is_shared(self, name: str, request: Request) -> bool:
        """Whether another row has used it; the same one may come again, when it is tried again."""
        text = hash(request.text)
        first = self._seen.setdefault(name, text)
        self._seen.move_to_end(name)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return first != text

    async def _stored(self, name: str, medium: Media) -> StoredFile:
        """One upload for all rows that want it. It goes on when one of them is given up."""
        task = self._files.get(name)
        if task is None or self._is_over(task):
            task = self._files[name] = asyncio.create_task(self._store_in_time(name, medium))
            task.add_done_callback(partial(self._drop_if_failed, name))
        return await asyncio.shield(task)

    async def _store_in_time(self, name: str, medium: Media) -> StoredFile:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                return await self._store.store(name, medium)
        except TimeoutError:
            raise ConnectionError(f"an upload took longer than {MOST_SECONDS:g} s") from None

    def _drop_if_failed(self, name: str, task: asyncio.Task[StoredFile]) -> None:
        """It is tried again then; what was refused stays refused. Its error is known, though nobody waits any more."""
        refused = not task.cancelled() and isinstance(task.exception(), MediaError)
        if not (refused or _succeeded(task)) and self._files.get(name) is task:
            del self._files[name]

    def _is_over(self, task: asyncio.Task[StoredFile]) -> bool:
        """Whether it is about to expire."""
        return _succeeded(task) and task.result().expires_at - self._now() < LEAST_LIFE_SECONDS


def _too_much(media: Sequence[Media]) -> list[Media]:
    """Those without which the others fit into a request: the largest ones."""
    left, out = sorted(media, key=lambda medium: len(medium.data)), list[Media]()
    while left:
        others = [medium for medium in left if not medium.mime_type.startswith("image/")]
        if _size(others) > MAX_OTHER_BYTES:
            out.append(others[-1])
        elif _size(left) > MAX_BYTES:
            out.append(left[-1])
        else:
            break
        left = [medium for medium in left if medium is not out[-1]]
    return out


def _size(media: Sequence[Media]) -> int:
    return sum(len(medium.data) for medium in media)


def _name(medium: Media) -> str:
    """Of its content, in the letters that the API takes: 40 at most."""
    digest = hashlib.blake2b(medium.mime_type.encode() + b"\0", digest_size=16)
    digest.update(medium.data)
    return f"files/gi-{digest.hexdigest()}"


def _succeeded(task: asyncio.Task[StoredFile]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
