"""Fetches a file of the web: so large at most, so long at most, and never from a private address.

A name is looked up here and the connection goes to the address that was checked, for the next answer of its name
server may be another one. So does every redirect. Behind a proxy that the environment names, the proxy connects.
"""

import errno
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import certifi
import httpx

from tasks.core.clock import Clock
from tasks.core.environment.proxies import proxy_of
from tasks.core.errors import MediaError
from tasks.core.media.addresses import Address, is_public

MOST_BYTES = 100_000_000
MOST_SECONDS = 120.0  # for all of it, redirects included
STEP_SECONDS = 20.0  # without a single byte
MOST_REDIRECTS = 5
_COME_BACK = frozenset({408, 425, 429})  # and every 5xx


def addresses_of(host: str, port: int) -> Sequence[Address]:
    """All that `host` is at present; raises socket.gaierror."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(sockaddr[0])) for *_, sockaddr in found]


class Fetcher:
    """Fetches files, from any thread. What it is given is for tests: other limits, another internet."""

    def __init__(
        self,
        *,
        is_allowed: Callable[[Address], bool] = is_public,
        resolve: Callable[[str, int], Sequence[Address]] = addresses_of,
        most_bytes: int = MOST_BYTES,
        clock: Clock = time.monotonic,
    ) -> None:
        self._is_allowed, self._resolve, self._most_bytes, self._clock = is_allowed, resolve, most_bytes, clock
        self._trust = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())

    def fetch(self, url: str) -> bytes:
        """The content of `url`.

        Raises:
            MediaError: it is not to be had, too large, or not to be asked for.
            OSError: not now.
        """
        latest, asked = self._clock() + MOST_SECONDS, url
        for _ in range(1 + MOST_REDIRECTS):
            try:
                found = self._get(httpx.URL(asked), latest)
            except httpx.InvalidURL as error:
                raise MediaError(f"{_shown(asked)} is no URL: {error}") from None
            except httpx.TimeoutException:
                raise OSError(errno.ETIMEDOUT, f"{_shown(asked)} did not answer in time") from None
            except httpx.HTTPError as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise MediaError(f"{_shown(asked)} has no certificate that can be trusted") from None
                raise OSError(errno.ENETUNREACH, f"{_shown(asked)}: {error}") from None
            if isinstance(found, bytes):
                return found
            asked = found
        raise MediaError(f"{_shown(url)} was redirected more than {MOST_REDIRECTS} times")

    def _get(self, url: httpx.URL, latest: float) -> bytes | str:
        """The content, or where it is instead."""
        proxy = proxy_of(str(url))
        target = self._checked(url, bool(proxy))
        headers = {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"}
        name = {"sni_hostname": url.raw_host.decode("ascii")} if url.scheme == "https" else {}
        with (
            httpx.Client(proxy=proxy, verify=self._trust, trust_env=False, timeout=STEP_SECONDS) as client,
            client.stream("GET", target, headers=headers, extensions=name) as response,
        ):
            if response.has_redirect_location:
                return str(url.join(response.headers["Location"]))
            _check_status(response, url)
            return self._body(response, url, latest)

    def _checked(self, url: httpx.URL, behind_proxy: bool) -> httpx.URL:
        """`url`, with the address in the place of its name."""
        if url.scheme not in ("http", "https") or not url.host:
            raise MediaError(f"{_shown(url)} is not of the web")
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            found = self._resolve(url.raw_host.decode("ascii"), port)
        except socket.gaierror as error:
            if behind_proxy:  # which may know names that this machine does not
                return url
            if error.errno == socket.EAI_AGAIN:
                raise OSError(errno.EAGAIN, f"{url.host} cannot be looked up") from None
            raise MediaError(f"{_shown(url)}: there is no {url.host}") from None
        except (OSError, UnicodeError) as error:
            raise MediaError(f"{_shown(url)}: {url.host} cannot be looked up: {error}") from None
        if not found or not all(map(self._is_allowed, found)):
            raise MediaError(f"{_shown(url)} leads to a private address, from which nothing is fetched")
        return url if behind_proxy else url.copy_with(host=str(found[0]), userinfo=b"")

    def _body(self, response: httpx.Response, url: httpx.URL, latest: float) -> bytes:
        parts, size = list[bytes](), 0
        said = response.headers.get("Content-Length", "")
        too_large = said.isdecimal() and int(said) > self._most_bytes
        for part in () if too_large else response.iter_bytes():
            parts.append(part)
            size += len(part)
            if self._clock() > latest:
                raise OSError(errno.ETIMEDOUT, f"{_shown(url)} was not here within {MOST_SECONDS:g} s")
            if too_large := size > self._most_bytes:
                break
        if too_large:
            raise MediaError(f"{_shown(url)} is larger than {self._most_bytes:,} bytes")
        return b"".join(parts)


def _check_status(response: httpx.Response, url: httpx.URL) -> None:
    said = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code in _COME_BACK or response.status_code >= 500:
        raise OSError(errno.EAGAIN, f"{_shown(url)} says {said}")
    if not response.is_success:
        raise MediaError(f"{_shown(url)} cannot be fetched: {said}")


def _shown(url: httpx.URL | str) -> str:
    """Without what may be secret in it."""
    scheme, slashes, rest = str(url).partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return repr(f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path[:150]}")
