"""The aiohttp session that the SDK sends through: proxies, sockets that last, and the first look at every response."""

import socket

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError

from tasks.core.environment.endpoint import base_url
from tasks.core.environment.proxies import proxy_of, socks_address
from tasks.core.errors import ApiError
from tasks.core.gemini.wire import read_refusal
from tasks.core.text import one_line

PROXY_ERRORS = (ProxyConnectionError, ProxyTimeoutError, ProxyError)  # of SOCKS, and no kin of aiohttp's
# A connection on which nothing moves is forgotten on the way, by some after 2 minutes; an answer may take longer.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 4}


def new_session() -> aiohttp.ClientSession:
    """A session for the endpoint and the proxy that the environment names. Call it on the loop it is to live on."""
    proxy = proxy_of(base_url())
    socks = socks_address(proxy)
    connector = (
        ProxyConnector.from_url(socks, rdns=True, limit=0)
        if socks
        else aiohttp.TCPConnector(limit=0, socket_factory=_lasting_socket)
    )
    return aiohttp.ClientSession(
        connector=connector,
        proxy=None if socks else proxy,
        middlewares=(_only_answers,),
        response_class=_LenientResponse,
    )


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
