"""Where requests go, as far as the environment says it: known before the SDK is imported.

Asks nobody anything: `why_unreachable` opens a connection and closes it.
"""

import os
import re
import socket
import ssl
from urllib.parse import urlsplit

import certifi

from tasks.core.environment.proxies import proxy_of, socks_address, without_password
from tasks.core.environment.variables import set_in
from tasks.core.errors import InputError

BASE_URL, VERSION = "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_API_VERSION"
GOOGLES = "https://generativelanguage.googleapis.com"
CONNECT_SECONDS = 5.0
_VERSION_BEHIND = re.compile(r"/(v\d+(?:(?:alpha|beta)\d*)?)/*$")


def base_url() -> str:
    """What the environment names, or Google's own."""
    return os.environ.get(BASE_URL) or GOOGLES


def is_googles(url: str) -> bool:
    """Whether it is an endpoint of Google's own."""
    parts = urlsplit(url)
    return parts.scheme == "https" and f".{parts.hostname}".endswith(".googleapis.com")


def mend_base_url() -> str:
    """Take off an API version at the end of the base URL, for the SDK adds one. Returns a line about it, or nothing.

    Raises:
        InputError: it is not a URL.
    """
    given = os.environ.get(BASE_URL, "")
    if not given:
        return ""
    if not is_url(given):
        shown = without_password(given)
        example = "https://HOST or http://127.0.0.1:8080"
        raise InputError(f"{BASE_URL} {shown!r}, set in {set_in(BASE_URL)}, is not a URL such as {example}")
    found = _VERSION_BEHIND.search(given)
    if found is None:
        return ""
    mended = given[: found.start()]
    os.environ[BASE_URL] = mended
    version = os.environ.setdefault(VERSION, found[1])
    ends = f"{BASE_URL} ends in /{found[1]}, and the version is added anyway"
    return f"{ends}: requests go to {without_password(mended)}/{version}/models/…"


def is_url(text: str) -> bool:
    """Whether `text` is the address of something that speaks HTTP."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not re.search(r"\s", text)
        )
    except ValueError:
        return False


def why_unreachable(url: str) -> str:
    """Why no connection to `url` can be opened, through the proxy that it needs; nothing where one can.

    Raises:
        InputError: its certificate is not trusted, or it speaks no TLS: waiting would not help.
    """
    parts, certificates = urlsplit(url), trusted()
    try:
        with _connected(url) as connection:
            if parts.scheme == "https" and not str(proxy_of(url)).startswith("https:"):
                certificates.wrap_socket(connection, server_hostname=parts.hostname).close()
    except ssl.SSLCertVerificationError as error:
        way_out = "if that is right, name the authority that signed it: SSL_CERT_FILE=/path/to/ca.pem"
        raise InputError(
            f"the certificate of {parts.netloc.rpartition('@')[2]} is not trusted: {error.verify_message}; {way_out}",
            "SSLError",
        ) from None
    except ssl.SSLError as error:
        shown = without_password(url)
        raise InputError(f"{shown} does not speak TLS ({error.reason}); is it http://?", "SSLError") from None
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def trusted() -> ssl.SSLContext:
    """The certificates that the SDK trusts.

    Raises:
        InputError: SSL_CERT_FILE does not name a file of certificates.
    """
    file = os.environ.get("SSL_CERT_FILE", certifi.where())
    try:
        return ssl.create_default_context(cafile=file, capath=os.environ.get("SSL_CERT_DIR"))
    except OSError as error:
        raise InputError(f"SSL_CERT_FILE={file}: {error.strerror or error}", type(error).__name__) from None


def _connected(url: str) -> socket.socket:
    """A connection to the host of `url`; for plain HTTP, and for a proxy behind TLS, to its proxy alone."""
    parts, proxy = urlsplit(url), proxy_of(url)
    if proxy is None:
        return socket.create_connection(_place(url), CONNECT_SECONDS)
    try:
        if proxy.startswith("https:") or (proxy.startswith("http:") and parts.scheme == "http"):
            return socket.create_connection(_place(proxy), CONNECT_SECONDS)
        from python_socks import ProxyError
        from python_socks.sync import Proxy

        try:
            through = Proxy.from_url(socks_address(proxy) or proxy, rdns=True)
            return through.connect(*_place(url), timeout=CONNECT_SECONDS)
        except ProxyError as error:
            raise ConnectionError(error) from None
    except OSError as error:
        raise ConnectionError(f"through the proxy {without_password(proxy)}: {error.strerror or error}") from None


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
