"""Single calls on the project's own session, for what the SDK's methods do wrongly: no retry, plain errors.

A version of the API is looked for where the environment names none: not every one has all there is.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import aiohttp
from google import genai

from tasks.core.batches import NotSent
from tasks.core.errors import ApiError
from tasks.core.gemini.sdk_internals import Addresses
from tasks.core.gemini.transport import PROXY_ERRORS
from tasks.core.text import one_line

SHORT = aiohttp.ClientTimeout(total=60)
TRANSFER = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=120)
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, *PROXY_ERRORS)


@dataclass(frozen=True, slots=True)
class Send:
    """What goes out beside method and path. Without `body` there is none, not even an empty object."""

    within: aiohttp.ClientTimeout = SHORT
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None


class Calls:
    """Calls about one kind of thing, files or jobs, under the version that has it."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession) -> None:
        self._addresses, self._session = Addresses(client), session
        self._versions = self._addresses.versions

    @property
    def version_is_known(self) -> bool:
        return len(self._versions) == 1

    async def text(self, method: str, path: str, send: Send | None = None) -> str:
        """The body of the answer, under the version that is known, or else the likeliest."""
        return await self._text(method, path, self._versions[0], send or Send())

    async def harmless(self, method: str, path: str, send: Send | None = None) -> str:
        """The same, of a call that does nothing, or nothing that is not to be done: a 404 may be the version's."""

        async def call(version: str) -> str:
            return await self._text(method, path, version, send or Send())

        return await self.looked_for(call)

    async def looked_for[T](self, call: Callable[[str], Awaitable[T]]) -> T:
        """What `call` finds under the first version that does not answer 404."""
        *others, last = self._versions
        for version in others:
            try:
                found = await call(version)
            except ApiError as error:
                if error.code != 404:
                    raise
            else:
                self._versions = (version,)
                return found
        found = await call(last)
        self._versions = (last,)
        return found

    @asynccontextmanager
    async def answer(self, method: str, path: str, version: str, send: Send) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its answer, which is open for the length of the block."""
        address = self._addresses.of(method, path, version)
        body = None if send.body is None else json.dumps(send.body).encode()
        headers = {**address.headers, **send.headers}
        with plain_errors():
            async with self._session.request(
                method, address.url, headers=headers, data=body, timeout=send.within
            ) as response:
                yield response

    async def _text(self, method: str, path: str, version: str, send: Send) -> str:
        async with self.answer(method, path, version, send) as response:
            return await response.text()


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the session raises, as ConnectionError; NotSent where the other side has heard nothing."""
    try:
        yield
    except _NO_CONNECTION as error:
        raise NotSent(_short(error)) from None
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionError(_short(error)) from None


def _short(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")
