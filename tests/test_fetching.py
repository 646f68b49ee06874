"""What is fetched of the web, and what never is."""

import errno
import re
import socket
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from deployments.emulator import Emulator, answer_to
from tasks.core.errors import MediaError
from tasks.core.media.addresses import Address, is_public
from tasks.core.media.fetching import MOST_SECONDS, Fetcher
from tests.media_samples import IMAGES, OTHERS
from tests.support import RunFlow, read_csv, write_jsonl
from tests.web import Page, Web

PNG = IMAGES["image/png"]
HERE = ip_address("127.0.0.1")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def anything(address: Address) -> bool:
    return True


def a_machine_of_the_net(host: str, port: int) -> Sequence[Address]:
    """Every name is this machine's."""
    return [HERE]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
        *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "240.0.0.1"),
    ],
)
def test_a_private_address_is_none_of_the_internet(address: str) -> None:
    """Whatever it is written as."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_one(address: str) -> None:
    """Else nothing would be fetched."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.1"]
)
def test_this_machine_is_never_asked(host: str) -> None:
    """However its address is spelled."""
    with Web({"/a.png": Page(PNG)}).running() as web:
        with pytest.raises(MediaError, match=r"private address|cannot be looked up|there is no|is no URL"):
            Fetcher().fetch(f"http://{host}:{web.server_port}/a.png")
        assert web.asked == []


def test_a_name_that_leads_to_a_private_address_is_not_followed() -> None:
    """Nor one that has a public address as well."""
    found = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]
    with pytest.raises(MediaError, match=r"'https://cats.example/a.png' leads to a private address"):
        Fetcher(resolve=lambda host, port: found).fetch("https://cats.example/a.png?token=secret")


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name server that answers differently the second time is not asked a second time; the host is still named."""
    answers = [[HERE]]
    with Web({"/a.png": Page(PNG)}).running() as web:
        fetcher = Fetcher(is_allowed=anything, resolve=lambda host, port: answers.pop())
        assert fetcher.fetch(f"http://cats.example:{web.server_port}/a.png") == PNG
        assert web.asked == [f"cats.example:{web.server_port}/a.png"]


def test_a_certificate_is_that_of_the_name_and_not_of_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though the address is what is connected to; who has none for the name is not trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    fetcher = Fetcher(is_allowed=anything, resolve=lambda host, port: [HERE])
    with Web({"/a": Page(PNG)}, authority.issue_cert("cats.example")).running() as web:
        assert fetcher.fetch(f"https://cats.example:{web.server_port}/a") == PNG
        with pytest.raises(MediaError, match="has no certificate that can be trusted"):
            fetcher.fetch(f"https://dogs.example:{web.server_port}/a")


def test_a_redirect_is_checked_as_the_first_address_was() -> None:
    """A public server must not send anybody home."""
    with Web({"/a": Page(status=302, headers={"Location": "http://metadata.example/key"})}).running() as web:

        def resolve(host: str, port: int) -> Sequence[Address]:
            return [HERE if host == "cats.example" else ip_address("169.254.169.254")]

        fetcher = Fetcher(is_allowed=lambda address: address == HERE, resolve=resolve)
        with pytest.raises(MediaError, match=r"metadata.example/key' leads to a private address"):
            fetcher.fetch(f"http://cats.example:{web.server_port}/a")


def test_redirects_are_followed_and_end() -> None:
    """Five of them, to other hosts and to none but the web."""
    pages = {f"/{n}": Page(status=307, headers={"Location": f"/{n + 1}"}) for n in range(9)} | {"/5": Page(PNG)}
    pages["/file"] = Page(status=302, headers={"Location": "file:///etc/passwd"})
    with Web(pages).running() as web:
        fetcher = Fetcher(is_allowed=anything)
        assert fetcher.fetch(f"{web.url}/0") == PNG
        with pytest.raises(MediaError, match=r"'file:/+etc/passwd' is not of the web"):
            fetcher.fetch(f"{web.url}/file")
        del web.pages["/5"]
        web.pages["/5"] = Page(status=307, headers={"Location": "/6"})
        with pytest.raises(MediaError, match="redirected more than 5 times"):
            fetcher.fetch(f"{web.url}/0")


@pytest.mark.parametrize("length", [True, False])
def test_what_is_too_large_is_not_read_to_its_end(length: bool) -> None:
    """Whether or not the server says so beforehand."""
    with Web({"/a": Page(bytes(2000), length=length)}).running() as web:
        with pytest.raises(MediaError, match="is larger than 1,000 bytes"):
            Fetcher(is_allowed=anything, most_bytes=1000).fetch(f"{web.url}/a")
        assert Fetcher(is_allowed=anything, most_bytes=2000).fetch(f"{web.url}/a") == bytes(2000)


def test_what_comes_too_slowly_is_given_up() -> None:
    """One byte now and then keeps no row waiting for ever."""
    times = iter([0.0, MOST_SECONDS + 1])
    with Web({"/a": Page(PNG)}).running() as web, pytest.raises(OSError, match="was not here within") as late:
        Fetcher(is_allowed=anything, clock=lambda: next(times)).fetch(f"{web.url}/a")
    assert late.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize(("status", "passes"), [(429, True), (503, True), (404, False), (403, False)])
def test_a_refusal_is_the_rows_and_an_outage_is_not(status: int, passes: bool) -> None:
    """The first is noted on the row, the second is tried again."""
    with Web({"/a": Page(status=status)}).running() as web, pytest.raises((MediaError, OSError)) as refused:
        Fetcher(is_allowed=anything).fetch(f"{web.url}/a")
    assert isinstance(refused.value, OSError) is passes
    assert str(status) in str(refused.value)


def test_a_server_that_is_not_there_may_be_there_later() -> None:
    """So nothing is noted, and the row is tried again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            Fetcher(is_allowed=anything).fetch(f"http://127.0.0.1:{taken.getsockname()[1]}/a")


def test_a_run_fetches_what_its_cells_name(
    emulator: Emulator, run: RunFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --fetch-urls, for one; without, the row says which flag would have. A run to its end, twice."""
    monkeypatch.setattr("tasks.core.data.media_of_rows.Fetcher", partial(Fetcher, is_allowed=anything))
    with Web({"/a.png": Page(PNG), "/b.pdf": Page(OTHERS["application/pdf"])}).running() as web:
        cell = [f"{web.url}/a.png", {"url": f"{web.url}/b.pdf"}, f"{web.url}/gone"]
        path = write_jsonl(tmp_path / "rows.jsonl", [{"id": "1", "input_query": "what?", "files": cell}])
        run(dataset=path, media_column="files")
        assert "--fetch-urls fetches it" in read_csv()[0]["error_message"]
        assert web.asked == []
        run(dataset=path, media_column="files", fetch_urls=True)
    [row] = read_csv()
    assert (row["status"], row["has_image"]) == ("success", "True")
    assert re.fullmatch(r"image: 1 of 3 left out: '.*/gone' cannot be fetched: 404.*", row["error_message"])
    assert row["response"] == answer_to("what?", PNG + OTHERS["application/pdf"], "image/png")
    assert len(web.asked) == 3
