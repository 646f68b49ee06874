"""The Gemini API through its own SDK.

A call returns a ModelOutput or raises ApiError, MalformedAnswer or ConnectionError, all plain. It never waits
beyond one answer, never retries, never follows up by itself: that is for answering/ to decide. A redirect is
followed by nobody. Bodies are written by body.py and read by wire.py: the SDK's types take their time to write one,
and refuse a good answer for a side field.
"""

import os
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from google import genai
from google.genai import types

from tasks.core.config.generation import GenerateConfig
from tasks.core.config.setting_names import with_flags
from tasks.core.details import STANDARD
from tasks.core.environment.endpoint import is_googles
from tasks.core.errors import ApiError, ConnectionLost, InputError, MalformedAnswer, kind_of
from tasks.core.gemini.batches import GeminiBatches
from tasks.core.gemini.body import BodyWriter
from tasks.core.gemini.caches import GeminiCaches
from tasks.core.gemini.files import GeminiFiles
from tasks.core.gemini.sdk_internals import Generate, base_url_of
from tasks.core.gemini.token_count import TokenCounter
from tasks.core.gemini.transport import PROXY_ERRORS, new_session
from tasks.core.gemini.wire import read_answer
from tasks.core.records import ModelOutput, Request
from tasks.core.text import one_line

_PLACES = ("GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL", "GOOGLE_CLOUD_LOCATION")  # that a URL is made of


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go, without what may be secret in the URL, and the variable that says so."""

    url: str
    variable: str


def other_endpoint() -> Endpoint | None:
    """The endpoint as the SDK finds it in the environment, where it is not Google's own over HTTPS.

    Raises:
        InputError: the SDK cannot make a client of what the environment says.
    """
    try:
        # Nothing is sent by it, so that it needs no certificates: loading them is all of its cost, 0.1 s.
        unused = types.HttpOptions(client_args={"verify": False}, async_client_args={"ssl": False})
        with genai.Client(http_options=unused) as client:
            base_url = base_url_of(client)
    except Exception as error:  # the SDK's own, and those of Google's sign-in
        raise InputError(f"the environment does not say how to reach the API: {error}", kind_of(error)) from None
    url = urlsplit(base_url)
    if is_googles(base_url):
        return None
    variable = next((name for name in _PLACES if (os.environ.get(name) or "\0") in base_url), "it")
    return Endpoint(f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}", variable)


class GeminiClient:
    """One connection pool for all requests of a process. Lives on one event loop.

    Credentials and the base URL come from the environment, as the SDK reads them.
    """

    def __init__(self, generation: GenerateConfig) -> None:
        self._model, self._generation = generation.model, generation
        self._session = new_session()
        options = types.HttpOptions(aiohttp_client=self._session, retry_options=types.HttpRetryOptions(attempts=1))
        self._client = genai.Client(http_options=options)
        self._generate, self._writer = Generate(self._client, self._model), BodyWriter(generation)
        self.files = GeminiFiles(self._client)
        self.caches = GeminiCaches(self._client, self._session, self._model)
        self.tokens = TokenCounter(self._client, self._session, generation)
        self.batches = GeminiBatches(self._client, self._session, generation)

    async def generate(self, request: Request) -> ModelOutput:
        """One call.

        Raises:
            ApiError: the API refused it.
            MalformedAnswer: a 200 that cannot be read.
            ConnectionError: no answer came; the message says why. ConnectionLost: it may have been on its way.
        """
        try:
            answer = await self._generate.post(self._writer.body(request))
        except ApiError as error:
            raise with_flags(error, self._generation) from None
        except (aiohttp.ClientConnectionError, *PROXY_ERRORS) as error:
            raise _unreached(error)(_short(error)) from None
        except (aiohttp.ClientPayloadError, ValueError) as error:
            raise MalformedAnswer(_short(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(_short(error)) from None
        return read_answer(answer, self._model, self._generation.service_tier or STANDARD)

    async def list_models(self) -> list[str]:
        """Names of the models this key may call generateContent on."""
        pager = await self._client.aio.models.list()
        models = [model async for model in pager]
        usable = [m for m in models if not m.supported_actions or "generateContent" in m.supported_actions]
        return [(model.name or "").removeprefix("models/") for model in usable]

    async def close(self) -> None:
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _unreached(error: Exception) -> type[ConnectionError]:
    """Whether the connection was lost, or never there."""
    lost = isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.SocketTimeoutError))
    return ConnectionLost if lost and not isinstance(error, aiohttp.ClientConnectorError) else ConnectionError


def _short(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
