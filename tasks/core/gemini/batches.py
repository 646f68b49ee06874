"""The Batch API, call by call: the SDK's own methods send a create twice, and drop what a job says of its end.

Decides nothing: each call is made once and returns, or raises ApiError, MalformedAnswer or ConnectionError (NotSent:
the other side has heard nothing). Only the parts of an upload are sent again, which costs nothing. Uploads and
downloads go from and to files, a piece at a time.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
from google import genai

from tasks.core.batches import BatchJob, JobPage, ResultLine
from tasks.core.clock import Sleep
from tasks.core.config.generation import GenerateConfig
from tasks.core.config.setting_names import with_flags
from tasks.core.errors import ApiError
from tasks.core.gemini.batch_wire import read_job, read_line, read_page
from tasks.core.gemini.body import BodyWriter
from tasks.core.gemini.calls import TRANSFER, Calls, Send
from tasks.core.gemini.resumable import received, send_parts, start_upload
from tasks.core.records import Request

PIECE_BYTES = 1024 * 1024
_MIME_TYPE = "application/jsonl"  # which no library knows by the suffix
_CREATE = aiohttp.ClientTimeout(total=120)


class GeminiBatches:
    """A BatchApi (see answering/batch/api.py). `exists`: Vertex AI wants a bucket instead, and has none of this."""

    def __init__(
        self,
        client: genai.Client,
        session: aiohttp.ClientSession,
        generation: GenerateConfig,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.exists = not client.vertexai
        self._session, self._model, self._sleep = session, generation.model, sleep
        self._files, self._jobs = Calls(client, session), Calls(client, session)
        self._generation, self._writer = generation, BodyWriter(generation, as_documented=True)

    def line(self, key: str, request: Request) -> bytes:
        """A line of a job's input."""
        return b'{"key": %b, "request": %b}\n' % (json.dumps(key).encode(), self._writer.body(request))

    def read_line(self, line: bytes) -> ResultLine | None:
        """A line of a job's results; None where nothing can be read of it."""
        found = read_line(line, self._model)
        if found and isinstance(found.result, ApiError):
            return replace(found, result=with_flags(found.result, self._generation))
        return found

    async def start_upload(self, size: int, name: str) -> str:
        """Announce a file of so many bytes, `name` for people; returns the address that `upload` sends it to."""
        return await start_upload(self._files, size, _MIME_TYPE, name)

    async def received(self, upload: str) -> int | None:
        """How much has come of an upload that was begun; None where it is to begin anew."""
        return await received(self._session, upload)

    async def upload(
        self, upload: str, path: Path, offset: int = 0, sent: Callable[[int], object] = lambda size: None
    ) -> str:
        """Send the content of `path` from `offset` on; returns the name that the API gives the file.

        `sent` hears how many bytes have arrived, after each part.
        """
        size = (await asyncio.to_thread(path.stat)).st_size
        return await send_parts(self._session, upload, path, size, self._sleep, sent, offset)

    async def create(self, display_name: str, file: str) -> BatchJob:
        """One job over the lines of `file`. Not to be tried again after any error that leaves open what came of it."""
        if not self._jobs.version_is_known:
            await self.jobs(size=1)
        body = {"batch": {"displayName": display_name, "inputConfig": {"fileName": file}}}
        path = f"models/{self._model}:batchGenerateContent"
        return read_job(await self._jobs.text("post", path, Send(_CREATE, body=body)))

    async def jobs(self, token: str = "", size: int = 100) -> JobPage:
        """A page of the project's jobs, the newest first."""
        path = f"batches?pageSize={size}" + (f"&pageToken={token}" if token else "")
        return read_page(await self._jobs.harmless("get", path))

    async def get(self, name: str) -> BatchJob:
        return read_job(await self._jobs.harmless("get", name))

    async def cancel(self, name: str) -> None:
        """Ask for its end; what comes of that, `get` tells."""
        await self._jobs.harmless("post", f"{name}:cancel")

    async def delete_file(self, name: str) -> None:
        """A file that is gone already is no error."""
        try:
            await self._files.harmless("delete", name)
        except ApiError as error:
            if error.code not in (403, 404):
                raise

    async def download(self, file: str, to: Path) -> None:
        """The content of `file`, whole or an error; `to` may be there in part then."""

        async def receive(version: str) -> None:
            path = f"{file}:download?alt=media"
            async with self._files.answer("get", path, version, Send(TRANSFER)) as response:
                with to.open("wb") as out:
                    async for piece in response.content.iter_chunked(PIECE_BYTES):
                        await asyncio.to_thread(out.write, piece)

        await self._files.looked_for(receive)
