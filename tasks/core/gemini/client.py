"""The Gemini API through its own SDK; the only module that imports google.genai.

A call returns a ModelOutput or raises ApiError, MalformedAnswer or ConnectionError, all plain. It never waits
beyond one answer, never retries, never follows up by itself: that is for batch.py and throttle.py to decide. A
redirect is followed by nobody. Bodies are read by wire.py: the SDK's types refuse a good answer for a side field.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError
from google import genai
from google.genai import types

from tasks.core.config.parameters import GenerateConfig
from tasks.core.environment.endpoint import base_url
from tasks.core.environment.proxies import proxy_of, socks_address
from tasks.core.errors import ApiError, InputError, MalformedAnswer
from tasks.core.gemini.wire import read_answer, read_refusal
from tasks.core.records import Image, ModelOutput, Request
from tasks.core.text import one_line


class _FixedConfig(types.GenerateContentConfig):
    """A config that never changes, so that its price is not paid again with every request: 0.4 ms of 1.3.

    The SDK copies it twice, and asks `option in config` for every option, which pydantic answers, always with no,
    by going through all fields.
    """

    def model_copy(self, **_: Any) -> Self:
        return self

    def __contains__(self, _: object) -> bool:
        return False


# The SDK follows continuation tokens and function calls by itself, each a billed request, unless told not to.
_ONE_CALL = _FixedConfig(
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    automatic_continuation=False,
    should_return_http_response=True,
)
# A connection on which nothing moves is forgotten on the way, by some after 2 minutes; an answer may take longer.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}


_PROXY_ERRORS = (ProxyConnectionError, ProxyTimeoutError, ProxyError)  # of SOCKS, and no kin of aiohttp's
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
        with genai.Client() as client:
            base_url = client._api_client._http_options.base_url or ""  # nothing public says it
    except Exception as error:  # the SDK's own, and those of Google's sign-in
        raise InputError(f"the environment does not say how to reach the API: {error}", type(error).__name__) from None
    url = urlsplit(base_url)
    if url.scheme == "https" and f".{url.hostname}".endswith(".googleapis.com"):
        return None
    variable = next((name for name in _PLACES if (os.environ.get(name) or "\0") in base_url), "it")
    return Endpoint(f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}", variable)


class GeminiClient:
    """One connection pool for all requests of a process. Lives on one event loop.

    Credentials and the base URL come from the environment, as the SDK reads them.
    """

    def __init__(self, generation: GenerateConfig) -> None:
        self._model = generation.model
        proxy = proxy_of(base_url())
        socks = socks_address(proxy)
        connector = (
            ProxyConnector.from_url(socks, rdns=True, limit=0)
            if socks
            else aiohttp.TCPConnector(limit=0, socket_factory=_lasting_socket)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            proxy=None if socks else proxy,
            middlewares=(_only_answers,),
            response_class=_LenientResponse,
        )
        options = types.HttpOptions(
            aiohttp_client=self._session,
            retry_options=types.HttpRetryOptions(attempts=1),
            extra_body=_constant_body(generation),
        )
        self._client = genai.Client(http_options=options)

    async def generate(self, request: Request) -> ModelOutput:
        """One call.

        Raises:
            ApiError: the API refused it.
            MalformedAnswer: a 200 that cannot be read.
            ConnectionError: no answer came; the message says why.
        """
        try:
            response = await self._client.aio.models.generate_content(
                model=self._model, contents=_content(request), config=_ONE_CALL
            )
        except (aiohttp.ClientConnectionError, *_PROXY_ERRORS) as error:
            raise ConnectionError(_short(error)) from None
        except (aiohttp.ClientPayloadError, ValueError) as error:
            raise MalformedAnswer(_short(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(_short(error)) from None
        http = response.sdk_http_response
        return read_answer((http and http.body) or "", self._model)

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


class _LenientResponse(aiohttp.ClientResponse):
    """Half a character does not cost the answer that it stands in."""

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:
        return await super().text(encoding, errors)


async def _only_answers(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Sees every response before anybody else does.

    aiohttp would follow a redirect with the key and the prompt, to any host; the SDK takes a 201 for an error, and
    drops the headers of one.

    Raises:
        ApiError: what every status but 2xx is turned into.
    """
    response = await handler(request)
    if 200 <= response.status < 300:
        response.status = 200
        return response
    if 300 <= response.status < 400:
        response.close()
        raise _redirected(response)
    raise read_refusal(response.status, response.reason or "", await _body(response), response.headers)


def _redirected(response: aiohttp.ClientResponse) -> ApiError:
    location = response.headers.get("Location") or response.headers.get("URI") or "a place it does not name"
    return ApiError(
        response.status,
        "",
        f"redirected to {one_line(location.partition('?')[0])}, which is not followed: it would get the key and "
        "the prompts; check GOOGLE_GEMINI_BASE_URL",
    )


async def _body(response: aiohttp.ClientResponse) -> str:
    """As far as it can be read: the status says most."""
    try:
        return await response.text()
    except (aiohttp.ClientError, OSError):
        response.close()
        return ""


def _lasting_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that shows a sign of life while it waits for an answer."""
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        if hasattr(socket, name):  # which there are depends on the system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


def _constant_body(generation: GenerateConfig) -> dict[str, Any]:
    """What every request says alike, merged by the SDK without cost; only what the user has set."""
    body: dict[str, Any] = {}
    if generation.generation_config:
        body["generationConfig"] = generation.generation_config
    if generation.system_instruction:
        body["systemInstruction"] = {"parts": [{"text": generation.system_instruction}]}
    return body


def _content(request: Request) -> types.Content:
    parts = [_image_part(request.image)] if request.image else []
    parts += [types.Part(text=request.text)] if request.text else []
    return types.Content(role="user", parts=parts)


def _image_part(image: Image) -> types.Part:
    return types.Part(inline_data=types.Blob(data=image.data, mime_type=image.mime_type))


def _short(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
