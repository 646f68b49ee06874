"""On a real Prefect server: PostgreSQL, process workers, results on S3. What a person does in the UI is done through
the same calls of the API. Clusters: test_cluster_runs.py.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zlib import crc32

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from deployments.emulator import UNAVAILABLE, ApiLimits, Constant, Emulator, LogNormal, Stats, answer_to
from tasks.core.answering.quota import PACIFIC, quota_returns
from tasks.core.text import markdown
from tests.services import (
    BIN,
    Services,
    answers,
    clean_environment,
    start_postgres,
    start_prefect,
    start_s3,
    wait_until,
)
from tests.support import CSV, MODEL, numbered, read_csv, write_jsonl

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[1]
CHUNKS_AT_ONCE = 6  # the limit on the tag, over all runs
SAVE_EVERY = 4
ROWS = 24  # of each of two runs at once
KILLED_AT_ONCE = 4  # chunks of a run with max_concurrent 1: some slots are left while a dead run's leases run out
BLOCK = "remote-file-system/gemini-infer"
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


@dataclass
class Production:
    """Everything that runs, and what a person with a browser can do to it."""

    services: Services
    url: str
    client: SyncPrefectClient
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self, name: str) -> dict[str, str]:
        """For a machine of that name: of its own is all but the server and the result storage."""
        return {
            "PREFECT_API_URL": self.url,
            "PREFECT_HOME": str(self.folder / name),
            "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": BLOCK,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "GOOGLE_API_KEY": "k",
        }

    def start_worker(self, name: str) -> None:
        command: list[str | Path] = [BIN / "prefect", "worker", "start", "--pool", "gemini-infer", "--name", name]
        self.workers.append(self.services.start(f"worker-{name}", command, self.environment(name)))

    def kill_the_machine_at_work(self) -> None:
        """kill -9 for the worker that runs a flow, and for all that it has started."""
        machines = [[*psutil.Process(w.pid).children(recursive=True), psutil.Process(w.pid)] for w in self.workers]
        for process in max(machines, key=len):
            process.kill()

    def command(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=clean_environment() | self.environment("shell"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, emulator: Emulator, deployment: str = "on-demand", **parameters: Any) -> UUID:
        """Fill in the form and press Run."""
        found = self.client.read_deployment_by_name(f"infer/{deployment}")
        env = {"GOOGLE_GEMINI_BASE_URL": emulator.url}
        run = self.client.create_flow_run_from_deployment(
            found.id, parameters=parameters, job_variables={"env": env, "stream_output": True}
        )
        return run.id

    def press(self, run: UUID, kind: str, name: str) -> None:
        """A button of the UI: it sets a state."""
        state = {"type": kind, "name": name, "message": "from the UI"}
        self.client.request("POST", "/flow_runs/{id}/set_state", path_params={"id": run}, json={"state": state})

    def end_of(self, run: UUID, seconds: float = 240) -> FlowRun:
        def ended() -> FlowRun | None:
            found = self.client.read_flow_run(run)
            return found if found.state and found.state.type.value in FINAL else None

        found: FlowRun = wait_until(ended, f"flow run {run}", seconds)
        return found

    def slots_taken(self) -> int:
        answer = self.client.request(
            "GET", "/v2/concurrency_limits/{id_or_name}", path_params={"id_or_name": "tag:gemini"}
        )
        taken: int = answer.json()["active_slots"]
        return taken

    def artifacts(self, run: UUID) -> dict[str, Any]:
        body = {"artifacts": {"flow_run_id": {"any_": [str(run)]}}}
        return {found["key"]: found for found in self.client.request("POST", "/artifacts/filter", json=body).json()}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """PostgreSQL, S3, Prefect server, bootstrap, `prefect deploy --all`, two workers that share nothing else."""
    folder = tmp_path_factory.mktemp("production")
    services = Services(folder)
    with ThreadPoolExecutor() as threads:
        try:
            s3 = threads.submit(start_s3, services)
            url = start_prefect(services, start_postgres(services))
            wait_until(lambda: answers(f"{url}/health"), "the Prefect server", 120)
            with SyncPrefectClient(url) as client:
                made = Production(services, url, client, folder)
                settings = json.dumps({"key": "k", "secret": "s", "endpoint_url": s3.result()})
                storage = ["--storage", "s3://results/checkpoints", "--storage-settings", settings]
                bootstrap = ["deployments/bootstrap.py", "--limit", str(CHUNKS_AT_ONCE)]
                made.command(*bootstrap, *storage)
                made.start_worker("one")
                made.start_worker("two")
                made.command("-m", "prefect", "deploy", "--all")
                yield made
        finally:
            services.stop()


@pytest.fixture
def gemini() -> Iterator[Emulator]:
    with Emulator(latency=LogNormal(0.2, 0.5)).in_thread() as emulator:
        yield emulator


@dataclass(frozen=True)
class TwoRuns:
    """Two flow runs that ran at once, and what the API saw of both."""

    runs: list[FlowRun]
    folders: list[Path]
    stats: Stats


@dataclass(frozen=True)
class Killed:
    """A run whose machine was lost, and what stood at that moment."""

    run: UUID
    folder: Path
    rows: int
    emulator: Emulator
    answered: int
    slots_taken: int


def own_rows(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Rows that no other folder's data has: else a resumed run would find their answers there."""
    return numbered(rows, first=1000 * (crc32(str(folder).encode()) % 10**6))


def data_of(folder: Path, rows: int) -> dict[str, Any]:
    """Parameters of a run over `rows` rows of its own."""
    return {
        "dataset": write_jsonl(folder / "d.jsonl", own_rows(folder, rows)),
        "output_dir": str(folder / "result"),
        "save_every": SAVE_EVERY,
    }


def assert_whole(folder: Path, rows: int) -> None:
    """The CSV is that of a run that nothing has happened to."""
    lines = read_csv(folder / CSV)
    assert [(line["id"], line["response"]) for line in lines] == [
        (row["id"], answer_to(row["input_query"])) for row in own_rows(folder, rows)
    ]


def paid_twice(emulator: Emulator) -> int:
    return emulator.stats.answers - emulator.stats.distinct_answered


@pytest.fixture(scope="module")
def two_runs(production: Production, tmp_path_factory: pytest.TempPathFactory) -> TwoRuns:
    """One row a chunk, a second a row: rows in flight are chunks in flight, and each run alone could fill the limit."""
    folders = [tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("run")]
    with Emulator(latency=Constant(1.0)).in_thread() as emulator:
        runs = []
        for folder, deployment in zip(folders, ("on-demand", "nightly"), strict=True):
            given = data_of(folder, ROWS) | {"save_every": 1, "max_concurrent": CHUNKS_AT_ONCE}
            runs.append(production.run(emulator, deployment, **given))
        return TwoRuns([production.end_of(run) for run in runs], folders, emulator.stats)


def test_the_nightly_schedule_is_off_until_somebody_turns_it_on(production: Production) -> None:
    """First of all, for the server takes a minute to see it: what comes of it is seen at the end."""
    nightly = production.client.read_deployment_by_name("infer/nightly")
    [schedule] = nightly.schedules
    assert not schedule.active
    path = {"id": nightly.id, "schedule_id": schedule.id}
    switch = "/deployments/{id}/schedules/{schedule_id}"
    production.client.request("PATCH", switch, path_params=path, json={"active": True})  # type: ignore[arg-type]


def test_the_limit_on_the_tag_holds_over_two_runs(production: Production, two_runs: TwoRuns) -> None:
    """Two flow runs at once never have more chunks in flight than the server allows; both complete."""
    runs = two_runs.runs
    assert [run.state_name for run in runs] == ["Completed", "Completed"], production.services.log("worker-one")
    for folder in two_runs.folders:
        assert_whole(folder, ROWS)
    assert CHUNKS_AT_ONCE // 2 < two_runs.stats.peak_in_flight <= CHUNKS_AT_ONCE  # a busy server hands slots out late
    starts, ends = [run.start_time for run in runs], [run.end_time for run in runs]
    assert max(start for start in starts if start) < min(end for end in ends if end), "the runs did not overlap"


def test_a_run_is_easy_to_follow(production: Production, two_runs: TwoRuns) -> None:
    """Names that say data set, model and chunk; progress, outcomes and errors, and the CSV as artifacts."""
    run, folder = two_runs.runs[0], two_runs.folders[0]
    assert run.name == f"d.jsonl test {MODEL}"
    body = {"flow_runs": {"id": {"any_": [str(run.id)]}}}
    names = {task["name"] for task in production.client.request("POST", "/task_runs/filter", json=body).json()}
    assert {"answer-chunk 0 (row 0)", f"answer-chunk {ROWS - 1} (row {ROWS - 1})"} <= names
    assert {"find the data set", "write the CSV", "summary"} <= names
    made = production.artifacts(run.id)
    assert made["infer-progress"]["data"] == 100
    assert f"| answered | {ROWS} | 100.0% |" in made["infer-summary"]["data"]
    assert made["infer-csv"]["data"] == markdown(f"{socket.gethostname()}:{folder}/{CSV}")
    assert run.state
    assert f"{ROWS} answered" in (run.state.message or "")


def test_a_wrong_value_is_refused_in_the_form(production: Production, gemini: Emulator) -> None:
    """The server checks bounds before a run exists; every field of the form has a description."""
    found = production.client.read_deployment_by_name("infer/on-demand")
    schema = found.parameter_openapi_schema
    assert schema
    assert all(field.get("description") for field in schema["properties"].values())
    for wrong in ({"max_concurrent": 0}, {"save_every": "many"}, {"retry_errors": ["nonsense"]}):
        with pytest.raises(httpx.HTTPStatusError, match=r"409|422"):
            production.run(gemini, **wrong)


@pytest.fixture(scope="module")
def killed(production: Production, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A run whose machine was lost. The state is set as the automation of bootstrap.py and then Retry would."""
    folder, rows = tmp_path_factory.mktemp("killed"), 60
    with Emulator(latency=LogNormal(0.2, 0.5)).in_thread() as emulator:
        run = production.run(emulator, **data_of(folder, rows), max_concurrent=1)
        wait_until(lambda: emulator.stats.answers >= 24, "answers")
        production.kill_the_machine_at_work()
        answered = emulator.stats.answers
        taken = production.slots_taken()
        production.press(run, "CRASHED", "Crashed")
        production.press(run, "SCHEDULED", "AwaitingRetry")
        yield Killed(run, folder, rows, emulator, answered, taken)


def test_a_killed_machine_s_run_is_taken_up_by_another(production: Production, killed: Killed) -> None:
    """kill -9 of worker and flow run: another worker finds the answers in the shared result storage."""
    assert production.end_of(killed.run).state_name == "Completed"
    assert_whole(killed.folder, killed.rows)
    in_flight = SAVE_EVERY * KILLED_AT_ONCE
    assert killed.answered > in_flight
    assert paid_twice(killed.emulator) <= in_flight


def test_a_retry_and_a_quota_that_returns_send_only_what_is_open(
    production: Production, gemini: Emulator, tmp_path: Path
) -> None:
    """The API goes down: Failed. Retry, but the quota of the day is spent: put off to midnight Pacific, with what it
    has. Run then, the same run completes. Nothing is paid for twice.
    """
    rows = 40
    data = data_of(tmp_path, rows)
    run = production.run(gemini, "nightly", **data, max_concurrent=2, max_attempts=2, give_up_seconds=2)
    wait_until(lambda: gemini.stats.answers >= 10, "answers")
    gemini.set_outage(UNAVAILABLE)
    failed = production.end_of(run)
    assert (failed.state_type, failed.state_name) == ("FAILED", "Incomplete")
    before = gemini.stats.answers
    assert before < rows
    assert failed.state
    assert (failed.state.message or "").endswith("rows are saved; press Retry to continue")
    for worker in ("worker-one", "worker-two"):  # where its last words would stand with a traceback
        assert "Engine execution exited" not in production.services.log(worker)
    made = production.artifacts(run)
    assert f" of {rows} rows, {before} success" in made["infer-summary"]["data"]
    assert "infer-csv" not in made

    gemini.set_outage(None)
    gemini.set_limits(ApiLimits(answers_per_day=8))
    production.press(run, "SCHEDULED", "AwaitingRetry")

    def put_off() -> bool:
        found = production.client.read_flow_run(run)
        return found.state_name == "AwaitingRetry" and found.run_count == 2

    wait_until(put_off, "the run is put off")
    found = production.client.read_flow_run(run)
    assert found.next_scheduled_start_time == quota_returns(datetime.now(UTC))
    assert found.state
    assert "the quota returns at" in (found.state.message or "")
    assert before < gemini.stats.answers < rows

    gemini.set_limits(ApiLimits())
    production.press(run, "SCHEDULED", "Scheduled")  # "Run now"
    completed = production.end_of(run)
    assert (completed.state_name, completed.run_count) == ("Completed", 2)  # waking up is no retry
    assert_whole(tmp_path, rows)
    assert gemini.stats.answers == rows


def test_a_killed_machine_s_slots_come_free(production: Production, killed: Killed) -> None:
    """Its leases run out: nobody has to reset the limit."""
    assert killed.slots_taken > 0
    wait_until(lambda: production.slots_taken() == 0, "free slots", 120)


def test_a_second_run_of_a_job_is_put_off_and_goes_on_where_a_cancelled_one_ends(
    production: Production, gemini: Emulator, tmp_path: Path
) -> None:
    """One writer a job, by a lock on S3: the second says whom it waits for, and pays for nothing. Cancel in the UI: the
    first keeps its answers and frees its slots at once; the second pays for the rest only.
    """
    rows = 60
    given = data_of(tmp_path, rows)
    gemini.set_latency(Constant(2.0))  # the first is at work for as long as the second needs to start
    first = production.run(gemini, "on-demand", **given, max_concurrent=2)
    wait_until(lambda: gemini.stats.answers > 0, "answers")
    second = production.run(gemini, "nightly", **given)
    wait_until(lambda: production.client.read_flow_run(second).state_name == "AwaitingRetry", "the second is put off")
    found = production.client.read_flow_run(second)
    assert found.state
    assert f"another run is at work on this data set, split and model: flow run {first}" in (found.state.message or "")

    production.press(first, "CANCELLING", "Cancelling")
    cancelled = production.end_of(first).state
    assert cancelled
    assert cancelled.type == "CANCELLED"
    assert "rows are saved; press Retry to continue" in (cancelled.message or "")
    assert production.slots_taken() == 0
    assert gemini.stats.answers < rows

    gemini.set_latency(Constant(0.05))
    production.press(second, "SCHEDULED", "Scheduled")
    assert production.end_of(second).state_name == "Completed"
    assert_whole(tmp_path, rows)
    assert gemini.stats.answers == rows


def test_every_night_is_scheduled(production: Production) -> None:
    """The server makes runs of its own, a quarter past midnight Pacific, and they resume."""

    def scheduled() -> Any:
        body = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        runs = production.client.request("POST", "/flow_runs/filter", json=body).json()
        return [run for run in runs if run["auto_scheduled"]]

    run = wait_until(scheduled, "a scheduled run")[0]
    night = datetime.fromisoformat(run["expected_start_time"]).astimezone(PACIFIC)
    assert (night.hour, night.minute) == (0, 15)
    assert run["parameters"]["resume"] is True
