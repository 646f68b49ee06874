"""The Gemini API through its own SDK; the only module that imports google.genai.

A call returns a ModelOutput or raises ApiError, TimeoutError or ConnectionError, all plain. It never waits
beyond one answer, never retries, never follows up by itself: that is for batch.py and throttle.py to decide. A
redirect is followed by nobody.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError
from google import genai
from google.genai import types
from google.genai.errors import APIError

from tasks.core.config import GenerateConfig
from tasks.core.endpoint import base_url
from tasks.core.errors import ApiError, InputError, MalformedAnswer
from tasks.core.escaping import visible
from tasks.core.proxies import proxy_of, socks_address
from tasks.core.records import Image, ModelOutput, Request, Usage


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
)


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
        connector = ProxyConnector.from_url(socks, rdns=True, limit=0) if socks else aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, proxy=None if socks else proxy, middlewares=(_refuse_redirect,)
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
        except APIError as error:
            raise _plain(error) from None
        except (aiohttp.ClientConnectionError, *_PROXY_ERRORS) as error:
            raise ConnectionError(_short(error)) from None
        except (aiohttp.ClientPayloadError, ValueError) as error:
            raise MalformedAnswer(_short(error)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(_short(error)) from None
        return _output(response)

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


async def _refuse_redirect(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Sees every response before aiohttp does, which would follow with the key and the prompt, to any host."""
    response = await handler(request)
    if 300 <= response.status < 400:
        response.close()
        location = response.headers.get("Location") or response.headers.get("URI") or "a place it does not name"
        raise ApiError(
            response.status,
            "",
            f"redirected to {_one_line(location.partition('?')[0])}, which is not followed: it would get the key and "
            "the prompts; check GOOGLE_GEMINI_BASE_URL",
        )
    return response


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


def _output(response: types.GenerateContentResponse) -> ModelOutput:
    candidate = response.candidates[0] if response.candidates else None
    feedback = response.prompt_feedback
    parts = candidate.content.parts or [] if candidate and candidate.content else []
    ratings = (candidate.safety_ratings if candidate else feedback.safety_ratings if feedback else None) or []
    return ModelOutput(
        text="".join(part.text for part in parts if part.text and not part.thought),
        finish_reason=_name(candidate.finish_reason if candidate else None),
        block_reason=_name(feedback.block_reason if feedback else None),
        safety_ratings=", ".join(f"{_name(r.category)}={_name(r.probability)}" for r in ratings),
        usage=_usage(response.usage_metadata),
        blank=candidate is None and not (feedback and feedback.block_reason),
    )


def _usage(metadata: types.GenerateContentResponseUsageMetadata | None) -> Usage:
    if metadata is None:
        return Usage()
    answer = (metadata.candidates_token_count or 0) + (metadata.thoughts_token_count or 0)
    return Usage(metadata.prompt_token_count or 0, answer)


def _name(value: Any) -> str:
    return "" if value is None else visible(str(getattr(value, "value", value)))


def _plain(error: APIError) -> ApiError:
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    found = inner.get("details") if isinstance(inner, dict) else None
    details = [detail for detail in found if isinstance(detail, dict)] if isinstance(found, list) else []
    return ApiError(error.code, error.status or "", _one_line(str(error.message or body)), details)


def _short(error: Exception) -> str:
    return _one_line(f"{type(error).__name__}: {error}" if not isinstance(error, json.JSONDecodeError) else str(error))


def _one_line(text: str, most: int = 500) -> str:
    """API messages span lines, HTML pages span screens, and neither has to be text."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"
