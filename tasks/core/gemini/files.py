"""The File API through the SDK: media that are larger than a request, or that many rows use. Decides which no more.

A file has the name that it is given, so whoever has the same content finds it: another process, a resumed run.
"""

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from google import genai
from google.genai import types

from tasks.core.clock import Clock, Sleep
from tasks.core.errors import ApiError, MediaError
from tasks.core.gemini.transport import PROXY_ERRORS
from tasks.core.records import Media, StoredFile
from tasks.core.text import one_line

POLL_SECONDS = 2.0
LEAST_LIFE_SECONDS = 3600.0  # of 48 hours; who has less left is as good as gone
_NOT_THERE, _NO_FILE_API = (403, 404), (404, 405, 501)


class GeminiFiles:
    """A FileStore (see core/media/uploads.py)."""

    def __init__(self, client: genai.Client, *, now: Clock = time.time, sleep: Sleep = asyncio.sleep) -> None:
        self._files, self._now, self._sleep = client.aio.files, now, sleep
        self.exists = not client.vertexai

    async def store(self, name: str, media: Media) -> StoredFile:
        """See FileStore.store."""
        with _plain_errors():
            file = await self._found(name) or await self._uploaded(name, media)
            while file.state == types.FileState.PROCESSING:
                await self._sleep(POLL_SECONDS)
                file = await self._files.get(name=file.name or "")
        if file.state == types.FileState.FAILED or not file.uri:
            raise MediaError(f"the File API could not process it: {file.error.message if file.error else 'no reason'}")
        return StoredFile(file.uri, file.mime_type or media.mime_type, self._expires_at(file))

    async def _found(self, name: str) -> types.File | None:
        """The file, where it is of use."""
        try:
            file = await self._files.get(name=name)
        except ApiError as error:
            if error.code in _NOT_THERE:
                return None
            raise
        lives = self._expires_at(file) - self._now() > LEAST_LIFE_SECONDS
        return file if lives and file.state != types.FileState.FAILED else None

    async def _uploaded(self, name: str, media: Media) -> types.File:
        try:
            return await self._upload(name, media)
        except ApiError as error:
            if error.code == 409:  # an old one bears the name, or another process was faster
                return await self._upload(None, media)
            if error.code in _NO_FILE_API:
                raise MediaError(f"{len(media.data):,} bytes are more than a request takes, and {_NONE_HERE}") from None
            if error.code == 413 or (error.code == 400 and error.status == "INVALID_ARGUMENT" and not error.details):
                raise MediaError(one_line(f"the File API refuses it: {error.code} {error.message}")) from None
            raise

    async def _upload(self, name: str | None, media: Media) -> types.File:
        config = types.UploadFileConfig(mime_type=media.mime_type, name=name)
        return await self._files.upload(file=io.BytesIO(media.data), config=config)

    def _expires_at(self, file: types.File) -> float:
        return file.expiration_time.timestamp() if file.expiration_time else self._now() + 2 * LEAST_LIFE_SECONDS


_NONE_HERE = "the endpoint has no File API"


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What the SDK and its session raise, as GeminiClient.generate has it."""
    try:
        yield
    except (aiohttp.ClientError, *PROXY_ERRORS, OSError, ValueError, KeyError) as error:
        raise ConnectionError(one_line(f"upload: {type(error).__name__}: {error}")) from None
