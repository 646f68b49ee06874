"""What a run that no deployment starts is on: Prefect's server, or the folder of one's own, and a named endpoint.

Must not import Prefect at its top: most of what is wrong is told before that.
"""

import os
import sqlite3
import ssl
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from flows.local_server import LocalServer
from flows.local_server.boot import SERVER, open_locked
from tasks.core.config.parameters import RunConfig
from tasks.core.environment.endpoint import BASE_URL, base_url, is_url, why_unreachable
from tasks.core.environment.proxies import proxy_of, socks_address, without_password
from tasks.core.environment.variables import set_in
from tasks.core.errors import InputError

_PREFECT = "PREFECT_API_URL"
_DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
_ANSWER_SECONDS, _LOCKED_SECONDS = 10.0, 1.0


def check_services(config: RunConfig) -> None:
    """Look at what can be looked at without Prefect.

    Raises:
        InputError: it is not there, or cannot be used.
    """
    if url := os.environ.get(_PREFECT):
        _check_prefect(url)
    elif sys.platform != "win32":
        _check_home(Path(os.environ.get("PREFECT_HOME") or "~/.prefect"))
    if not config.demo and os.environ.get(BASE_URL) and (why := why_unreachable(base_url())):
        shown = without_password(base_url())
        raise InputError(f"{BASE_URL} {shown}, set in {set_in(BASE_URL)}, cannot be reached: {why}", "ConnectionError")


@contextmanager
def on_server(
    config: RunConfig, load: Callable[[], object] = lambda: None, linger_seconds: float = 0.0
) -> Iterator[LocalServer]:
    """Within the block a run of `config` may start, on what it is told of or a server of its own.

    `load`: imports what takes long, while the server boots. `linger_seconds`: for which one of its own stays up after.

    Raises:
        InputError: something is not as asked.
        LocalServerError: no server can be had.
    """
    server = LocalServer(linger_seconds=linger_seconds).start()
    try:
        load()
        from flows.checked import Checked, handing_on
        from flows.logs import quiet_console
        from tasks.core.data.sources import resolve
        from tasks.result_storage import default_storage

        check_prefect_client()
        found = Checked(config, resolve(config))
    except BaseException:
        server.abandon()
        raise
    with server:
        quiet_console()
        default_storage()  # a block that is not there would be a traceback of the engine's
        with handing_on(found):
            yield server


def check_prefect_client() -> None:
    """Ask the server that Prefect's settings name, which may stand in a profile, as the run is going to ask it.

    Raises:
        InputError: it cannot be used.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    if not (url := get_current_settings().api.url):
        return
    try:
        with get_client(sync_client=True) as client:
            if error := client.api_healthcheck():
                raise error
    except Exception as error:  # of Prefect, its HTTP client, a certificate
        raise _prefect_error(url, f"{error.__cause__ or error}") from None


def _check_prefect(url: str) -> None:
    if not is_url(url):
        raise _prefect_error(url, "not a URL such as http://127.0.0.1:4200/api")
    if why := _why_no_prefect(url):
        raise _prefect_error(url, why)


def _prefect_error(url: str, why: str) -> InputError:
    way_out = "start it (`prefect server start`), or unset it: then a run brings a server of its own"
    where = f", set in {set_in(_PREFECT)}" if os.environ.get(_PREFECT) else " of Prefect's settings"
    return InputError(f"{_PREFECT} {without_password(url)}{where}: {why}; {way_out}", "ConnectionError")


def _why_no_prefect(url: str) -> str:
    """Whether its certificate is trusted is Prefect's to say, which has settings for that."""
    if socks_address(proxy_of(url)) or f".{urlsplit(url).hostname}".endswith(".prefect.cloud"):
        return ""
    unverified = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
    try:
        with urllib.request.build_opener(unverified).open(
            f"{url.rstrip('/')}/health", timeout=_ANSWER_SECONDS
        ) as answer:
            is_prefect = answer.read(100).strip() == b"true"
    except HTTPError as error:
        is_prefect = error.code != 404  # whoever guards it may have a word to say first
    except (OSError, HTTPException) as error:
        return str(getattr(error, "reason", None) or error)
    return "" if is_prefect else "no Prefect server answers there (its URL ends in /api)"


def _check_home(home: Path) -> None:
    try:
        home = home.expanduser()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
        if lock := open_locked(home / SERVER):  # else a server is at work there, on its database
            with lock:
                _check_database(home / "prefect.db")
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"PREFECT_HOME {home}: {why}; name a folder that this user can write to", type(error).__name__
        ) from None


def _check_database(path: Path) -> None:
    if not path.exists() or any(os.environ.get(name) for name in _DATABASES):
        return
    try:
        with closing(sqlite3.connect(path, timeout=_LOCKED_SECONDS, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        raise InputError(
            f"PREFECT_HOME {path.parent}: {path.name}: {error}; end what uses it, or name another folder",
            type(error).__name__,
        ) from None
