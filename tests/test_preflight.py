"""What is told before a run: at once, in one line, before anything that takes long is imported or booted."""

import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from deployments.emulator import Emulator
from flows.local_server.boot import SERVER, open_locked
from flows.preflight import check, with_environment
from flows.services import check_prefect_client, check_services
from tasks.core.config.parameters import RunConfig
from tasks.core.environment import credentials
from tasks.core.errors import InputError
from tests.middlemen import Middleman, nothing, place_of, serving
from tests.support import numbered, write_jsonl
from tests.test_environment import GOOGLE, VERTEX

# Runs the command line once for each case, in one process, and stops where the local server would start.
PROGRAM = """
import contextlib, io, json, os, sys
from flows import cli as command, services
from flows.local_server import LocalServerError
def start(self): raise LocalServerError("boots")
services.LocalServer.start = start
clean = dict(os.environ)
told = []
for flags, variables in json.load(sys.stdin):
    os.environ.clear(); os.environ.update(clean | variables)
    with contextlib.redirect_stderr(io.StringIO()) as err:
        code = command.main(lambda: None, flags)
    told.append([code, err.getvalue()])
heavy = {"prefect", "datasets", "google.genai", "pandas", "aiohttp", "PIL"} & set(sys.modules)
json.dump([told, sorted(heavy)], sys.stdout)
"""
SIGN_IN = "DefaultCredentialsError: Vertex AI is switched on, and nobody is signed in to Google"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Case:
    """What is wrong, and how the line about it begins; `{folder}` and the ports are filled in."""

    line: str
    variables: dict[str, str]
    flags: tuple[str, ...] = ("--dataset", "d.jsonl")


KEY = {"GOOGLE_API_KEY": "k"}
URL, PREFECT = "GOOGLE_GEMINI_BASE_URL", "PREFECT_API_URL"
MISTAKES = [
    Case("ValueError: GOOGLE_API_KEY is not set in .env file\nA key is made at https://aistudio.google.com/apikey", {}),
    Case("ValueError: GOOGLE_API_KEY is not set in .env file\n", {"GOOGLE_API_KEY": " ", "GEMINI_API_KEY": ""}),
    Case("GOOGLE_API_KEY has a line break in it; copy the key", {"GOOGLE_API_KEY": "a\nb"}),
    Case("GEMINI_API_KEY has blanks around it; copy the key", {"GEMINI_API_KEY": "a "}),
    Case("GOOGLE_API_KEY has a character in it that no key has", {"GOOGLE_API_KEY": "“a”"}),
    Case("no data set: pass --dataset", KEY, ()),
    Case("DatasetNotFoundError: 'no.csv' does not exist", KEY, ("--dataset", "no.csv")),
    Case("DatasetNotFoundError: 'two words' does not exist", KEY, ("--dataset", "two words")),
    Case("{folder}/notes.docx is none of .csv", KEY, ("--dataset", "notes.docx")),
    Case("NotADirectoryError: --output-dir d.jsonl", KEY, ("--dataset", "d.jsonl", "--output-dir", "d.jsonl")),
    Case("--limit '-1'", KEY, ("--limit", "-1")),
    Case("unrecognized arguments: --nonsense; see --help", {}, ("--nonsense",)),
    Case("--task-runner-address x:1: needs --task-runner", KEY, ("--demo", "--task-runner-address", "x:1")),
    Case(f"{URL} 'gate.example:1', set in the environment, is not a URL", KEY | {URL: "u:p@gate.example:1"}),
    Case(f"ConnectionError: {URL} http://127.0.0.1:{{dead}}, set in the env", KEY | {URL: "http://127.0.0.1:{dead}"}),
    Case(f"ConnectionError: {URL} https://no.such.host.invalid", KEY | {URL: "https://no.such.host.invalid"}),
    Case("SSLError: the certificate of localhost:{tls} is not trusted: ", KEY | {URL: "https://localhost:{tls}/v1"}),
    Case("SSLError: https://127.0.0.1:{api} does not speak TLS", KEY | {URL: "https://127.0.0.1:{api}"}),
    Case(
        "FileNotFoundError: SSL_CERT_FILE=gone: No such",
        KEY | {URL: "https://localhost:{tls}", "SSL_CERT_FILE": "gone"},
    ),
    Case("ConnectionError: PREFECT_API_URL localhost/api, set in", KEY | {PREFECT: "localhost/api"}),
    Case("ConnectionError: PREFECT_API_URL http://127.0.0.1:70000/api", KEY | {PREFECT: "http://127.0.0.1:70000/api"}),
    Case(
        "ConnectionError: PREFECT_API_URL http://127.0.0.1:{dead}/api", KEY | {PREFECT: "http://127.0.0.1:{dead}/api"}
    ),
    Case("ConnectionError: PREFECT_API_URL http://127.0.0.1:{api}, set", KEY | {PREFECT: "http://127.0.0.1:{api}"}),
    Case("NotADirectoryError: PREFECT_HOME {folder}/d.jsonl/home: ", KEY | {"PREFECT_HOME": "{folder}/d.jsonl/home"}),
    Case("OperationalError: PREFECT_HOME {folder}/locked: prefect.db: ", KEY | {"PREFECT_HOME": "{folder}/locked"}),
    Case("ALL_PROXY=socks4://p:1: a proxy is", KEY | {"ALL_PROXY": "socks4://u:secret@p:1"}),
    Case(SIGN_IN, {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_CLOUD_PROJECT": "p"}),
    Case(SIGN_IN, {"GOOGLE_GENAI_USE_ENTERPRISE": "1", "GCE_METADATA_HOST": "127.0.0.1:{api}", "NO_GCE_CHECK": ""}),
    Case(
        "FileNotFoundError: GOOGLE_APPLICATION_CREDENTIALS=gone",
        {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_APPLICATION_CREDENTIALS": "gone"},
    ),
]
RIGHT = [
    Case("Starting: d.jsonl (test), gemini-3.5-flash-lite\n", KEY),
    Case(
        "Starting: d.jsonl (test), gemini-2.5-pro\n",
        {"GEMINI_API_KEY": "k"},
        ("--dataset=d.jsonl", "--model=gemini-2.5-pro"),
    ),
    Case("Starting: owner/set (test)", KEY, ("--dataset", "owner/set")),
    Case(
        "Starting: bundled samples (test), ",
        {"ALL_PROXY": "socks4://p:1", "HTTP_PROXY": "http://127.0.0.1:{dead}"},
        ("--demo",),
    ),
    Case("Starting: ", {"GOOGLE_GENAI_USE_VERTEXAI": "true", "GOOGLE_API_KEY": "k"}),
    Case(f"{URL} ends in /v1beta, and the version is added anyway: ", KEY | {URL: "http://127.0.0.1:{api}/v1beta/"}),
    Case("GOOGLE_API_KEY from the environment is used, and not GEM", KEY | {"GEMINI_API_KEY": "other"}),
]


@pytest.fixture
def ports(emulator: Emulator) -> Iterator[dict[str, int]]:
    """The API, the same behind a certificate that nobody trusts, and a port where nobody listens."""
    certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("localhost").configure_cert(certified)
    with serving(tls := Middleman(place_of(emulator.url), nothing, certified)):
        yield {"api": place_of(emulator.url)[1], "tls": tls.port, "dead": free_port()}


def test_a_mistake_is_one_line_and_a_run_starts_with_one_before_anything_heavy_is_imported(
    emulator: Emulator, ports: dict[str, int], tmp_path: Path
) -> None:
    """Neither Prefect, nor what reads data, nor the SDK; no server boots, and nothing is sent."""
    write_jsonl(tmp_path / "d.jsonl", numbered(1))
    (tmp_path / "notes.docx").touch()
    (tmp_path / "locked").mkdir()
    database = sqlite3.connect(tmp_path / "locked" / "prefect.db", isolation_level=None)
    database.execute("CREATE TABLE t (x)")
    database.execute("BEGIN EXCLUSIVE")

    def filled(text: str) -> str:
        return text.format(folder=tmp_path, **ports)

    cases = [
        (case.flags, {name: filled(value) for name, value in case.variables.items()}) for case in [*MISTAKES, *RIGHT]
    ]
    prefixes = ("GOOGLE", "GEMINI", "PREFECT", "INFER", "SSL")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    home = {"HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "home"), "NO_GCE_CHECK": "true"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(cases),
        cwd=tmp_path,
        env=bare | home,
        capture_output=True,
        text=True,
        timeout=60,
    )
    database.close()
    assert done.returncode == 0, done.stderr
    told, heavy = json.loads(done.stdout)
    assert heavy == []
    for case, (code, err) in zip(MISTAKES, told, strict=False):
        assert (code, err.count("\n")) == (2, 2 if "is not set in .env" in case.line else 1), err
        assert err.startswith(filled(case.line))
        assert "secret" not in err
    for case, (code, err) in zip(RIGHT, told[len(MISTAKES) :], strict=True):
        assert err.startswith(filled(case.line))
        assert (code, err.splitlines()[-1]) == (1, "boots")
    assert emulator.stats.requests == 0


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*GOOGLE, *VERTEX, "GOOGLE_GENAI_API_VERSION", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")  # so that what a test sets goes away with it
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("url", "version", "mended", "now"),
    [
        ("https://gate.example/v1", None, "https://gate.example", "v1"),
        ("https://gate.example/gemini/v1beta//", None, "https://gate.example/gemini", "v1beta"),
        ("https://gate.example/v1alpha", "v1", "https://gate.example", "v1"),
        ("https://gate.example/v1/gemini", None, "https://gate.example/v1/gemini", None),
        ("https://gate.example/v", None, "https://gate.example/v", None),
    ],
)
def test_a_version_behind_the_base_url_becomes_the_version_that_is_asked_for(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, version: str | None, mended: str, now: str
) -> None:
    """The SDK would ask for /v1beta/v1/models; a version that the user has set stays."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
    if version:
        monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", version)
    config = with_environment(RunConfig(dataset=write_jsonl(tmp_path / "d.jsonl", numbered(1))))
    lines = check(config)
    assert os.environ["GOOGLE_GEMINI_BASE_URL"] == mended
    assert os.environ.get("GOOGLE_GENAI_API_VERSION") == now
    assert len(lines) == (url != mended)
    assert check(config) == []


def test_a_home_with_a_server_at_work_on_its_database_is_fine(
    bare: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs share it."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        database.execute("BEGIN IMMEDIATE")
        lock = open_locked(tmp_path / SERVER)
        assert lock
        with lock:
            check_services(RunConfig())
        with pytest.raises(InputError, match="database is locked"):
            check_services(RunConfig())
        database.rollback()
    check_services(RunConfig())


def test_a_server_that_prefects_settings_name_is_asked_by_prefects_own_client(
    prefect: None, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile may name it, and its certificate is Prefect's to judge."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    check_prefect_client()
    monkeypatch.delenv("PREFECT_API_URL")
    for url in (f"http://127.0.0.1:{ports['dead']}/api", f"https://localhost:{ports['tls']}/api"):
        with (
            temporary_settings({PREFECT_API_URL: url}),
            pytest.raises(InputError, match="of Prefect's settings") as refused,
        ):
            check_prefect_client()
        assert "\n" not in refused.value.line


def test_a_machine_at_google_is_signed_in(
    ports: dict[str, int], bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its metadata server says so; others answer at that address as well."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Metadata-Flavor", "Google")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        credentials.check_credentials()
        server.shutdown()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{ports['api']}")
    with pytest.raises(InputError, match="gcloud auth"):
        credentials.check_credentials()
