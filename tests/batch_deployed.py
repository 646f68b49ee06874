"""A deployed run by batch jobs on a real Prefect server: it sleeps while they are at work, and wakes up to look.

    uv run --group dev python -m tests.batch_deployed

Its times are those of batch_warm.py. While it sleeps its data cannot be read, and once the API is away: a wake-up reads
no row. In the end all rows fail three times, which uses the one retry that the run has, however often it woke up.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, FlowRunPolicy

from deployments.emulator import UNAVAILABLE, BatchFault, Emulator, FaultKind, answer_to
from tests.services import BIN, Services, answers, start_prefect, wait_until
from tests.support import CSV, numbered, read_csv, write_jsonl
from tests.test_server import ROOT, Production

ROWS, GROUP_ROWS, WAKES = 10, 4, 3


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="batch-deployed-"))
    services = Services(folder)
    try:
        url = start_prefect(services, f"sqlite+aiosqlite:///{folder}/prefect.db")
        wait_until(lambda: answers(f"{url}/health"), "the Prefect server")
        with SyncPrefectClient(url) as client, Emulator().in_thread() as emulator:
            production = Production(services, url, client, folder)
            production.command("deployments/bootstrap.py")
            production.command("-m", "prefect", "deploy", "--all")
            worker: list[str | Path] = [BIN / "prefect", "worker", "start", "--pool", "gemini-infer"]
            services.start("worker", worker, _environment(production))
            return _Scenario(client, emulator, folder).play()
    finally:
        services.stop()


def _environment(production: Production) -> dict[str, str]:
    found = production.environment("worker")
    del found["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"]
    return found


class _Scenario:
    def __init__(self, client: SyncPrefectClient, emulator: Emulator, folder: Path) -> None:
        self._client, self._emulator, self._folder = client, emulator, folder
        self._data, self._run = folder / "d.jsonl", UUID(int=0)
        (folder / "sitecustomize.py").write_text(
            f"import sys\nsys.path.append({str(ROOT)!r})\nfrom tests.batch_warm import hurry\nhurry({GROUP_ROWS})\n"
        )

    def play(self) -> int:
        batches = self._emulator.batches
        batches.running_seconds = 1e6
        self._start()
        self._sleeps(1)
        data = self._data.read_text()
        self._data.write_text("{")  # whoever reads it refuses to run
        self._sleeps(1 + WAKES)
        self._emulator.set_outage(UNAVAILABLE)
        self._sleeps(2 + WAKES)
        self._emulator.set_outage(None)
        before = self._read()
        self._data.write_text(data)
        batches.faults.set([BatchFault(FaultKind.ERROR_LINE, code=14, times=3 * ROWS)])
        batches.running_seconds = 0
        wait_until(lambda: (state := self._read().state) and state.is_final(), "the end")
        after = self._read()
        for at, name, message in self._states():
            print(f"{at:%H:%M:%S} {name:16} {message or ''}")
        wrong = self._emulator.stats.answered_more_than_once
        found = [(line["id"], line["response"]) for line in read_csv(self._folder / CSV)]
        wanted = [(row["id"], answer_to(row["input_query"])) for row in numbered(ROWS)]
        print(f"asleep {before.run_count=}; {after.state_name} {after.run_count=}; {batches.calls=}; twice: {wrong}")
        well = (before.run_count, after.run_count, after.state_name) == (1, 2, "Completed")
        return 0 if well and found == wanted and not wrong else 1

    def _start(self) -> None:
        deployment = self._client.read_deployment_by_name("infer/on-demand")
        data = write_jsonl(self._data, numbered(ROWS))
        parameters = {"dataset": data, "mode": "batch", "leftovers": "open", "output_dir": str(self._folder / "result")}
        env = {"GOOGLE_GEMINI_BASE_URL": self._emulator.url, "PYTHONPATH": str(self._folder)}
        run = self._client.create_flow_run_from_deployment(
            deployment.id, parameters=parameters, job_variables={"env": env}
        )
        self._client.update_flow_run(run.id, empirical_policy=FlowRunPolicy(retries=1, retry_delay=0))
        self._run = run.id

    def _sleeps(self, times: int) -> None:
        started = time.monotonic()
        wait_until(lambda: self._asleep() >= times, f"asleep {times} times", 300)
        print(f"asleep for the {times}. time after {time.monotonic() - started:.0f} s", flush=True)

    def _asleep(self) -> int:
        return sum(name == "AwaitingRetry" for _, name, _ in self._states())

    def _states(self) -> list[tuple[Any, str | None, str | None]]:
        return [(s.timestamp, s.name, s.message) for s in self._client.read_flow_run_states(self._run)]

    def _read(self) -> FlowRun:
        return self._client.read_flow_run(self._run)


if __name__ == "__main__":
    sys.exit(main())
