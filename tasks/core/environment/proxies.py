"""Which proxy a request goes through, by the environment's variables. What stays on this machine goes through none.

The libraries read the same variables each in its own way: httpx fails on a scheme it does not know before anything is
sent, and asks the proxy for 127.0.0.1 as well; aiohttp knows neither ALL_PROXY nor SOCKS.
"""

import os
import re
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from tasks.core.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAMES = ("http_proxy", "https_proxy", "all_proxy")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


def settle_proxies(*, needed: bool = True) -> None:
    """Write the variables in the one way that all libraries read, and except this machine.

    Raises:
        InputError: the value of a variable is no proxy's address; where none is `needed`, it is removed instead.
    """
    for name in [name for name in os.environ if name.lower() in _NAMES]:
        try:
            os.environ[name] = _address(os.environ[name])
        except ValueError as error:
            if needed:
                shown = without_password(os.environ[name])
                raise InputError(f"{name}={shown}: {error}; correct it or unset it") from None
            del os.environ[name]
    if found := getproxies_environment():  # a variable alone would replace what the system's settings say
        past = ",".join(dict.fromkeys([*filter(None, found.get("no", "").split(",")), *LOOPBACK]))
        os.environ |= {"NO_PROXY": past, "no_proxy": past}


def proxy_of(url: str) -> str | None:
    """The address of the proxy that requests to `url` go through."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def socks_address(proxy: str | None) -> str | None:
    """`proxy` as python-socks reads it, where it is one for SOCKS. The proxy looks names up, with or without `h`."""
    return proxy.replace("socks5h:", "socks5:", 1) if proxy and proxy.startswith("socks") else None


def without_password(url: str) -> str:
    """`url` as it may be shown."""
    return re.sub(r"^([^/@]*//)?[^/@]*@", r"\1", url).partition("?")[0]


def _address(value: str) -> str:
    """Raises ValueError where `value` is no address of a proxy that all libraries can use."""
    value = value.strip()
    if not value:
        return ""
    value = value if "://" in value else f"http://{value}"
    value = re.sub(r"^socks://", "socks5://", value, flags=re.IGNORECASE)  # as desktops write it
    parts = urlsplit(value)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("a proxy is http://HOST:PORT or socks5://HOST:PORT")
    port = "" if parts.port else f":{_PORTS[parts.scheme]}"
    return f"{parts.scheme}://{parts.netloc.removesuffix(':')}{port}"
