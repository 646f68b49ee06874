"""Which way requests go: through real little proxies, to an API whose name does not exist."""

import os
import ssl
from pathlib import Path

import pytest
import trustme

from deployments.emulator import Emulator
from tasks.core.config.generation import GenerateConfig
from tasks.core.environment.endpoint import why_unreachable
from tasks.core.environment.proxies import proxy_of, settle_proxies
from tasks.core.errors import InputError
from tasks.core.gemini.client import GeminiClient
from tasks.core.records import Request
from tests.middlemen import Middleman, http, nothing, place_of, serving, socks
from tests.support import MODEL

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
API = "generativelanguage.example"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*NAMES, *map(str.upper, NAMES)]:
        monkeypatch.setenv(name, "")  # so that what a test sets goes away with it
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, f"https://{API}", None),
        ({"HTTPS_PROXY": "http://p:1"}, f"https://{API}", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, f"http://{API}", None),
        ({"ALL_PROXY": "socks5h://p:1"}, f"https://{API}", "socks5h://p:1"),
        ({"all_proxy": "socks://p", "https_proxy": "  "}, f"https://{API}", "socks5://p:1080"),
        ({"http_proxy": "u:secret@p:1"}, f"http://{API}", "http://u:secret@p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".example, other"}, f"http://{API}", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "other"}, "http://localhost:8080", None),
        ({"ALL_PROXY": "http://p:1"}, "http://127.3.2.1:8080", None),
        ({"ALL_PROXY": "http://p:1"}, "http://[::1]:8080", None),
    ],
)
def test_a_request_goes_through_the_proxy_that_the_variables_name_and_to_this_machine_through_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, proxy: str | None
) -> None:
    """However they are written; and what was excepted before stays so."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settle_proxies()
    assert proxy_of(url) == proxy
    if variables:
        kept = [host.strip() for host in variables.get("NO_PROXY", "").split(",") if host]
        assert [host.strip() for host in os.environ["NO_PROXY"].split(",")] == [*kept, "127.0.0.1", "localhost", "::1"]


@pytest.mark.parametrize("value", ["socks4://u:secret@p:1", "http://", "http://p:port", "ftp://p:1"])
def test_what_is_no_proxy_is_one_line_and_no_concern_of_a_run_that_needs_none(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """httpx would raise as soon as a client is made, whatever is to be asked."""
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(InputError, match="ALL_PROXY=") as refused:
        settle_proxies()
    assert "secret" not in str(refused.value)
    settle_proxies(needed=False)
    assert "ALL_PROXY" not in os.environ


async def test_requests_go_through_http_proxies_and_socks_with_tls_and_without(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the password that the variable holds; the proxy looks the name up. One that is gone is named."""
    certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority = trustme.CA()
    authority.issue_cert(API).configure_cert(certified)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    open_api = place_of(emulator.url)
    with serving(secure := Middleman(open_api, nothing, certified)):
        secure_api = ("127.0.0.1", secure.port)
        ways = [
            (f"http://{API}", "http://u:p@", Middleman(open_api, http)),
            (f"https://{API}", "http://u:p@", Middleman(secure_api, http)),
            (f"http://{API}", "socks5://", Middleman(open_api, socks)),
            (f"https://{API}", "socks5h://", Middleman(secure_api, socks)),
        ]

        def use(url: str, way: str, proxy: Middleman) -> None:
            monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
            monkeypatch.setenv("ALL_PROXY", f"{way}127.0.0.1:{proxy.port}")
            settle_proxies()

        with serving(*(proxy for _, _, proxy in ways)):
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)
            for url, way, proxy in ways[1::2]:
                use(url, way, proxy)
                with pytest.raises(InputError, match=f"the certificate of {API} is not trusted"):
                    why_unreachable(url)
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
            for url, way, proxy in ways:
                use(url, way, proxy)
                assert why_unreachable(url) == ""
                async with GeminiClient(GenerateConfig(model=MODEL)) as client:
                    assert (await client.generate(Request.of("hello"))).text
                assert set(proxy.asked) == {API}
                assert proxy.passwords == ({"Proxy-Authorization: Basic dTpw"} if "@" in way else set())
        for url, way, proxy in ways:
            use(url, way, proxy)
            assert f"through the proxy {way.replace('u:p@', '')}127.0.0.1" in why_unreachable(url)
            async with GeminiClient(GenerateConfig(model=MODEL)) as client:
                with pytest.raises(ConnectionError):
                    await client.generate(Request.of("hello"))
    assert emulator.stats.answers == len(ways)
