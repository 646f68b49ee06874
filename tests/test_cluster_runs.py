"""One run over the processes of a Dask and of a Ray cluster; results on S3."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from prefect.filesystems import RemoteFileSystem

from deployments.emulator import Emulator, LogNormal, answer_to
from tests.services import Services, start_dask, start_ray, start_s3, wait_until
from tests.support import CSV, numbered, read_csv, write_jsonl

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

INFER = Path(__file__).parents[1] / "flows" / "infer.py"
ROWS = 240  # one process of a cluster may answer many before the other has started


@dataclass(frozen=True)
class Clusters:
    """Addresses of a Dask and a Ray cluster whose two processes each know `emulator`, and a shell beside them."""

    services: Services
    environment: dict[str, str]
    emulator: Emulator
    dask: str
    ray: str

    def start(self, name: str, *flags: str) -> subprocess.Popen[bytes]:
        """The command line, in a shell; its output is the log of that name."""
        return self.services.start(name, [sys.executable, str(INFER), *flags], self.environment)

    def interrupted(self, name: str, *flags: str, answers: int, in_flight: int) -> None:
        """Ctrl+C once so many more answers have come, and so many requests have been in flight at once."""
        process = self.start(name, *flags)
        enough = self.emulator.stats.answers + answers

        def come() -> bool:
            stats = self.emulator.stats
            return stats.answers >= enough and stats.peak_in_flight >= in_flight

        wait_until(lambda: come() or process.poll() is not None, "answers")
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, self.services.log(name)


@pytest.fixture(scope="module")
def clusters(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    folder = tmp_path_factory.mktemp("clusters")
    services = Services(folder)
    with Emulator(latency=LogNormal(0.5, 0.3)).in_thread() as emulator, ThreadPoolExecutor() as threads:
        environment = {
            "PREFECT_API_URL": os.environ["PREFECT_API_URL"],
            "PREFECT_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"],
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "remote-file-system/clusters",
            "GOOGLE_API_KEY": "k",
            "GOOGLE_GEMINI_BASE_URL": emulator.url,
            "RAY_AUTH_MODE": "disabled",
        }
        try:
            dask = threads.submit(start_dask, services, environment)
            ray = start_ray(services, environment)
            settings = {"key": "k", "secret": "s", "endpoint_url": start_s3(services)}
            RemoteFileSystem(basepath="s3://results/checkpoints", settings=settings).save("clusters", overwrite=True)
            yield Clusters(services, environment, emulator, dask.result(), ray)
        finally:
            services.stop()


def test_dask_ray_and_a_shell_share_one_checkpoint(clusters: Clusters, tmp_path: Path) -> None:
    """Begun on Dask, interrupted, continued on Ray, interrupted, ended here: one CSV as ever, nothing paid for twice.

    `max_concurrent` holds in each of the cluster's two processes, and rows that ask the same are sent once in all.
    """
    rows = [*numbered(ROWS), *({**row, "id": f"again {row['id']}"} for row in numbered(9))]
    flags = ["--dataset", write_jsonl(tmp_path / "d.jsonl", rows), "--output-dir", str(tmp_path / "result")]
    flags += ["--save-every", "4"]
    few = ["--max-concurrent", "2"]
    dask = ["--task-runner", "dask", "--task-runner-address", clusters.dask]
    ray = ["--task-runner", "ray", "--task-runner-address", clusters.ray, "--resume"]
    for name, cluster in (("on-dask", dask), ("on-ray", ray)):
        clusters.interrupted(name, *flags, *few, *cluster, answers=12, in_flight=3)
        assert clusters.emulator.stats.peak_in_flight <= 2 * 2
    assert clusters.emulator.stats.answers < ROWS
    assert clusters.start("here", *flags, "--resume", "--max-concurrent", "100").wait(120) == 0, clusters.services.log(
        "here"
    )
    lines = read_csv(tmp_path / CSV)
    assert [(line["id"], line["response"]) for line in lines] == [
        (row["id"], answer_to(row["input_query"])) for row in rows
    ]
    assert clusters.emulator.stats.answers == clusters.emulator.stats.distinct_answered == ROWS
