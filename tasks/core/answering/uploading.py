"""A Model whose large media go through the File API first. Asks for no slot, and knows no run."""

import asyncio

from tasks.core.answering.base import Model
from tasks.core.answering.refusals import is_gone
from tasks.core.errors import ApiError
from tasks.core.media.uploads import Uploads
from tasks.core.records import ModelOutput, Request

SHARE_OF_TIMEOUT = 0.9  # of the time for an answer; an upload that is not done by then goes on, and costs no timeout


class UploadingModel:
    """`model`, whose requests may have media of any size."""

    def __init__(self, model: Model, uploads: Uploads, timeout_seconds: float) -> None:
        self._model, self._uploads, self._wait_seconds = model, uploads, SHARE_OF_TIMEOUT * timeout_seconds

    async def generate(self, request: Request) -> ModelOutput:
        """See GeminiClient.generate; MediaError: a medium is too large, and cannot be uploaded."""
        sendable = await self._sendable(request)
        try:
            return await self._model.generate(sendable)
        except ApiError as error:
            if sendable is request or not is_gone(error):
                raise
        self._uploads.forget(sendable)
        return await self._model.generate(await self._sendable(request))

    async def list_models(self) -> list[str]:
        return await self._model.list_models()

    async def close(self) -> None:
        await self._uploads.close()
        await self._model.close()

    async def _sendable(self, request: Request) -> Request:
        if not request.media:
            return request
        try:
            async with asyncio.timeout(self._wait_seconds) as waiting:
                return await self._uploads.sendable(request)
        except TimeoutError:
            if not waiting.expired():
                raise
            raise ConnectionError(f"not uploaded within {self._wait_seconds:g} s; it goes on") from None
