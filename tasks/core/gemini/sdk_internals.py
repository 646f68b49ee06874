"""The private parts of google-genai that are used here, each with its reason; test_sdk_internals.py holds them.

The SDK has no public way to send a body that is written already, or to say where it would send one.
"""

import os
from dataclasses import dataclass
from typing import Any

from google import genai
from google.genai import _transformers


def base_url_of(client: genai.Client) -> str:
    """Where the SDK sends requests, by its arguments and the environment; nothing public says it."""
    return client._api_client._http_options.base_url or ""


class Generate:
    """`models.generate_content`, once the body is written: the SDK's URL, headers, sign-in, session and errors.

    It stands for the public method because that copies, checks and converts the request over and over: half of the
    CPU of a row of text. One call is one request: continuations and function calls are followed by nobody.
    """

    def __init__(self, client: genai.Client, model: str) -> None:
        self._api, self._model = client._api_client, model

    async def post(self, body: bytes) -> str:
        """The body of the answer. Raises what the session does; ValueError: the model's name cannot be in a URL."""
        path = f"{_transformers.t_model(self._api, self._model)}:generateContent"
        request = self._api._build_request("post", path, {})
        request.data = body  # bytes go out as they are
        response: Any = await self._api._async_request_once(request, implicit_retry=False)
        return response.response_stream[0] or ""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes, and the headers that let it in."""

    url: str
    headers: dict[str, str]


class Addresses:
    """URLs and headers as the SDK makes them, of calls that its public methods make wrongly (see batches.py).

    `versions`: of the API; one where the environment says it, or else those that there may be, the SDK's own first.
    """

    def __init__(self, client: genai.Client) -> None:
        self._api = client._api_client
        own = str(self._api._http_options.api_version or "")
        self.versions = (own,) if os.environ.get("GOOGLE_GENAI_API_VERSION") else (own, "v1beta")

    def of(self, method: str, path: str, version: str) -> Address:
        """`path`: what follows the version, or has `{api_version}` where that stands; with what is asked behind it."""
        options: Any = {"api_version": version}
        request = self._api._build_request(method, path, {}, options)
        return Address(request.url, dict(request.headers))
