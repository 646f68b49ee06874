"""Runs what compose.yaml and the Dockerfile say without containers, for machines that have none.

    uv run --group dev python -m tests.compose      some two minutes

The image's `uv sync` in an empty folder with what .dockerignore lets in; then each service's own command, environment
and health check, in the order of `depends_on`; at last a demo on the worker, whose CSV and checkpoint are looked for.
What is not run: the images themselves. PostgreSQL and S3 come from packages instead (see tests/services.py), hosts of
the network are ports of this machine, and where root runs this, the services are `nobody`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import fsspec
import yaml

from tests.services import BIN, Services, clean_environment, free_port, start_postgres, start_s3, wait_until

ROOT = Path(__file__).parent.parent
PASSWORD = "of-nobody"
_AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] if os.geteuid() == 0 else []


def compose() -> dict[str, Any]:
    """What compose.yaml says, with passwords in it."""
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", r"\2", (ROOT / "compose.yaml").read_text(encoding="utf-8"))
    read: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{\w+(:\?[^}]*)?\}", PASSWORD, text))
    return read


def let_in() -> list[str]:
    """Files of the repository that the image gets, by the names in .dockerignore."""
    listed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = [line.removeprefix("!") for line in listed if line.startswith("!")]
    found = subprocess.run(["git", "ls-files", *names], cwd=ROOT, check=True, capture_output=True, text=True)
    return found.stdout.splitlines()


def run_lines() -> list[str]:
    """What the Dockerfile runs."""
    return re.findall(r"^RUN (.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


def default_command() -> list[str]:
    """What the image runs when it is told nothing else."""
    [listed] = re.findall(r"^CMD (\[.*\])", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    return [str(part) for part in yaml.safe_load(listed)]


def _build(app: Path) -> None:
    for name in let_in():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, app / name)
    env = clean_environment() | {"UV_LINK_MODE": "copy", "UV_PYTHON": _python(app.parent), "VIRTUAL_ENV": ""}
    for line in run_lines():
        if line.startswith("uv "):
            subprocess.run(line.replace(" --no-cache", ""), shell=True, cwd=app, env=env, check=True)


def _python(folder: Path) -> str:
    """One that `nobody` may read."""
    if _AS_NOBODY:
        unneeded = shutil.ignore_patterns("site-packages")
        shutil.copytree(sys.base_prefix, folder / "python", symlinks=True, ignore=unneeded)
        os.environ["LD_LIBRARY_PATH"] = str(folder / "python" / "lib")
        return str(folder / "python" / "bin" / "python3")
    return sys.executable


class _Stack:
    """`app`: the image's folder. `places`: where the hosts of the network are instead."""

    def __init__(self, services: Services, app: Path, places: dict[str, str]) -> None:
        self._services, self._app, self._places = services, app, places
        self._told = compose()["services"]

    def start(self, name: str) -> None:
        """Until its health check says so; what has none, to its end."""
        told = self._told[name]
        command = self._as_nobody([self._here(part) for part in told.get("command") or default_command()])
        process = self._services.start(name, command, self._env(name))
        if "healthcheck" not in told:
            process.wait()
        else:
            _, *check = [self._here(part) for part in told["healthcheck"]["test"]]
            wait_until(lambda: process.poll() is not None or self._is_healthy(name, check), f"{name} is healthy", 900)
        if process.poll():
            raise SystemExit(f"{name} ended with {process.returncode}:\n{self._services.log(name)}")
        print(f"{name}: as compose.yaml says", flush=True)

    def _is_healthy(self, name: str, check: list[str]) -> bool:
        env = clean_environment() | self._env(name)
        return subprocess.run(self._as_nobody(check), env=env, capture_output=True, check=False).returncode == 0

    def _as_nobody(self, command: list[str]) -> list[str]:
        return [*_AS_NOBODY, "env", "-C", str(self._app), *command]

    def _env(self, name: str) -> dict[str, str]:
        ports = {"PREFECT_SERVER_API_PORT": self._places["4200"], "PREFECT_WORKER_WEBSERVER_PORT": self._places["8080"]}
        home = self._app.parent / f"home-{name}"
        if not home.exists():
            home.mkdir()
            if _AS_NOBODY:
                shutil.chown(home, "nobody")
        told = {key: self._here(value) for key, value in self._told[name]["environment"].items()}
        told = {key: value.replace("/home/infer", str(home)) for key, value in told.items()}
        path = f"{self._app}/.venv/bin:{os.environ['PATH']}"
        return {**told, **ports, "HOME": str(home), "TMPDIR": str(home), "PATH": path}

    def _here(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="compose-") as folder:
        Path(folder).chmod(0o755)
        services = Services(Path(folder))
        try:
            _play(services, Path(folder) / "app")
        finally:
            services.stop()


def _play(services: Services, app: Path) -> None:
    app.mkdir()
    _build(app)
    (app / "result").mkdir()
    if _AS_NOBODY:
        shutil.chown(app / "result", "nobody")
    port, health = str(free_port()), str(free_port())
    user = f"prefect:{PASSWORD}@database:5432"
    places = {
        user: start_postgres(services).removeprefix("postgresql+asyncpg://").removesuffix("/prefect"),
        "http://storage:9000": start_s3(services),
        "server:4200": f"127.0.0.1:{port}",
        "4200": port,
        "8080": health,
    }
    stack = _Stack(services, app, places)
    for name in ("server", "setup", "worker"):
        stack.start(name)
    _demo(f"http://127.0.0.1:{port}/api", app)
    bucket = fsspec.filesystem("s3", key="gemini-infer", secret=PASSWORD, endpoint_url=places["http://storage:9000"])
    print(f"checkpoint: {len(bucket.find('results'))} records in the bucket")


def _demo(url: str, app: Path) -> None:
    watched = "deployment run infer/on-demand -p demo=true --watch --watch-timeout 900"
    subprocess.run([BIN / "prefect", *watched.split()], env=clean_environment() | {"PREFECT_API_URL": url}, check=True)
    [csv] = app.glob("result/demo/*_result.csv")
    print(f"{csv.name}: {len(csv.read_text(encoding='utf-8').splitlines())} lines")


if __name__ == "__main__":
    main()
