"""What the promises cost: every figure beside its target and beside the plain way, measured in the same run.

    uv run python tests/benchmark.py                    all of it (some ten minutes)
    uv run python tests/benchmark.py --only efficiency
    uv run python tests/benchmark.py --short            small sizes

Ratios where they can be had: a machine is noisy, two measurements of one run share its noise. The emulator and
the Prefect server run in processes of their own; CPU and memory are those of the flow's process alone.
"""

import argparse
import asyncio
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
INFER = ROOT / "flows" / "infer.py"


@dataclass
class Table:
    """Rows of the report: what, measured, target, the plain way."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: str, target: str = "", plain: str = "") -> None:
        self.rows.append((what, measured, target, plain))
        print(f"{what:<62} {measured:>16}   target {target or '-':<18} plain way {plain or '-'}", flush=True)

    def markdown(self) -> str:
        lines = ["| what | measured | target | plain way |", "|---|---|---|---|"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


class Api:
    """The emulator in a process of its own."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "deployments.emulator", *flags]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = self._process.stdout.readline().strip()

    def get(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/emulator/{what}") as response:
            return json.load(response)

    def reset(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/emulator/reset", method="POST")).close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


@contextmanager
def api(*flags: str) -> Iterator[Api]:
    running = Api(*flags)
    try:
        yield running
    finally:
        running.close()


@dataclass(frozen=True)
class Cost:
    """Of one run of the command, from its start to its end. `peak_mb`: anonymous memory at most."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def infer(folder: Path, url: str, *flags: str) -> Cost:
    """`python flows/infer.py` on the benchmark's Prefect server."""
    environment = os.environ | {"GOOGLE_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": url}
    return measured([sys.executable, str(INFER), *flags], folder, environment)


def measured(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Cost:
    """Run a command to its end; it must succeed."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        peak, ended, status = 0.0, 0, 0
        while not ended:
            peak = max(peak, anonymous_mb(process.pid))
            time.sleep(0.02)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        assert process.returncode == 0, output.read()
        return Cost(time.monotonic() - started, usage.ru_utime + usage.ru_stime, peak)


def anonymous_mb(pid: int) -> float:
    """Memory that is the process's own: mapped files do not count."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon")), 0.0)


def write_rows(folder: Path, count: int, images: int = 0, image_bytes: int = 20_000, every: int = 3) -> str:
    """A JSONL data set; every `every`-th row with one of `images` pictures."""
    import numpy as np
    from PIL import Image

    folder.mkdir(exist_ok=True)
    chance = np.random.default_rng(1)
    for n in range(images):
        side = int((image_bytes / 3) ** 0.5)
        Image.fromarray(chance.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    with (folder / "data.jsonl").open("w") as file:
        for n in range(count):
            row: dict[str, Any] = {"id": n, "input_query": f"What is number {n}? " + "Please explain. " * 6}
            if images:
                row["image_path"] = f"{n % images}.png" if n % every == 0 else ""
            file.write(json.dumps(row) + "\n")
    return str(folder / "data.jsonl")


def efficiency_of(timings: list[list[Any]], slots: int) -> float:
    """A perfect scheduler's time for the same latencies, as a share of the time that was taken.

    `timings`: the emulator's [start, latency, elapsed, status], in seconds. Perfect: each request goes out the
    moment a slot is free, in the order in which they went out.
    """
    timings = sorted(timings)
    free = [0.0] * slots
    for _, latency, _, _ in timings:
        heapq.heappush(free, heapq.heappop(free) + latency)
    taken = max(start + elapsed for start, _, elapsed, _ in timings) - timings[0][0]
    return max(free) / taken


def plain(url: str, texts: list[str], slots: int, batch: int | None = None) -> Cost:
    """The SDK as it comes: gather per batch, or a pool of workers where `batch` is None; in a process of its own."""
    return measured([sys.executable, __file__, "--plain", url, str(len(texts)), str(slots), str(batch or 0)], ROOT)


async def run_plain(url: str, rows: int, slots: int, batch: int) -> None:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url)).aio
    config = types.GenerateContentConfig(
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), automatic_continuation=False
    )
    texts = iter([f"What is number {n}? " + "Please explain. " * 6 for n in range(rows)])
    gate = asyncio.Semaphore(slots)

    async def ask(text: str) -> None:
        async with gate:
            await client.models.generate_content(model="gemini-2.5-flash", contents=text, config=config)

    async def work() -> None:
        for text in texts:
            await ask(text)

    if batch:
        while part := [text for _, text in zip(range(batch), texts, strict=False)]:
            await asyncio.gather(*(ask(text) for text in part))
    else:
        await asyncio.gather(*(work() for _ in range(slots)))
    await client.aclose()


def bench_efficiency(table: Table, folder: Path, short: bool) -> None:
    cases = [(400, 0.5, 10, 10, 5, "400 rows, 0.5 s, 10 in flight, a third with images")]
    cases += [(3000, 1.0, 100, 50, 0, "3,000 rows, 1 s, 100 in flight")]
    if short:
        cases = [(150, 0.2, 10, 10, 5, "150 rows, 0.2 s, 10 in flight, a third with images")]
    for rows, mean, slots, save_every, images, name in cases:
        with api("--latency", f"lognormal:{mean}:0.6", "--seed", "7") as emulator:
            data = write_rows(folder / f"e{rows}", rows, images)
            flags = ["--dataset", data, "--max-concurrent", str(slots), "--save-every", str(save_every)]
            infer(folder, emulator.url, *flags)
            stats = emulator.get("stats")
            assert stats["answers"] == rows
            assert stats["peak_in_flight"] <= slots
            reached = efficiency_of(emulator.get("latencies"), slots)
            others = []
            for batch in (save_every, None):
                emulator.reset()
                part = min(rows, 10 * slots)
                plain(emulator.url, [""] * part, slots, batch)
                others.append(efficiency_of(emulator.get("latencies"), slots))
        table.add(f"efficiency: {name}", f"{reached:.3f}", ">= 0.98", f"batches {others[0]:.2f}, pool {others[1]:.2f}")


def bench_cpu(table: Table, folder: Path, short: bool) -> None:
    few, many = (100, 600) if short else (500, 5500)
    with api("--latency", "constant:0.05") as emulator:
        costs = [
            infer(
                folder,
                emulator.url,
                "--dataset",
                write_rows(folder / f"c{n}", n),
                "--max-concurrent",
                "50",
                "--save-every",
                "50",
            )
            for n in (few, many)
        ]
        pools = [plain(emulator.url, [""] * n, 50) for n in (few, many)]
    per_row, pool = ((b.cpu_seconds - a.cpu_seconds) / (many - few) * 1e3 for a, b in (costs, pools))
    table.add("CPU per row, save_every 50, text", f"{per_row:.2f} ms", "<= 2.5 ms", f"pool {pool:.2f} ms")


def bench_saturated(table: Table, folder: Path, short: bool) -> None:
    rows = 1000 if short else 8000
    with api() as emulator:
        data = write_rows(folder / "s", rows)
        infer(folder, emulator.url, "--dataset", data, "--max-concurrent", "100", "--save-every", "100")
        stats = emulator.get("stats")
        rate = rows / (stats["last_answer_at"] - stats["first_request_at"])
        emulator.reset()
        plain(emulator.url, [""] * rows, 100)
        stats = emulator.get("stats")
        pool = rows / (stats["last_answer_at"] - stats["first_request_at"])
    table.add("saturated, no latency, save_every 100", f"{rate:.0f} rows/s", ">= 400 rows/s", f"pool {pool:.0f} rows/s")


def bench_memory(table: Table, folder: Path, short: bool) -> None:
    sizes = (200, 1000) if short else (1000, 20_000)
    for save_every in (10, 500):
        peaks = []
        for rows in sizes:
            with api() as emulator:
                data = write_rows(folder / f"m{rows}", rows, images=20, image_bytes=100_000, every=1)
                flags = ["--dataset", data, "--max-concurrent", "20", "--save-every", str(save_every)]
                peaks.append(infer(folder, emulator.url, *flags).peak_mb)
        what = f"memory, {sizes[0]:,} to {sizes[1]:,} rows of 100 KB images, save_every {save_every}"
        table.add(what, f"{peaks[1] - peaks[0]:+.0f} MB", "<= +100 MB", f"from {peaks[0]:.0f} MB")


EMPTY_FLOW = "from prefect import flow\n@flow\ndef empty():\n    pass\nempty()\n"


def bench_start(table: Table, folder: Path, short: bool) -> None:
    """Both without a server configured, in a home that has its database already."""
    bare = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    bare["PREFECT_HOME"] = str(folder / "own-home")
    runs = []
    for _ in range(1 if short else 3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", EMPTY_FLOW], env=bare, check=True, capture_output=True)
        empty = time.monotonic() - started
        with api() as emulator:
            keys = {"GOOGLE_API_KEY": "k", "GOOGLE_GEMINI_BASE_URL": emulator.url}
            command = [sys.executable, str(INFER), "--dataset", write_rows(folder / "t", 5)]
            started = time.monotonic()
            process = subprocess.Popen(
                command, cwd=folder, env=bare | keys, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            while not emulator.get("stats")["requests"]:
                assert process.poll() is None
                time.sleep(0.05)
            runs.append((time.monotonic() - started, empty))
            process.wait()
    first, empty = min(runs)
    table.add("start: command to first request", f"{first:.1f} s", "<= an empty flow", f"empty flow {empty:.1f} s")


def bench_rate_limit(table: Table, folder: Path, short: bool) -> None:
    """50 requests a second are allowed, the rest is answered with 429, and 500 may be in flight."""
    rows = 300 if short else 2000
    with api("--latency", "lognormal:0.5:0.6", "--requests-per-second", "50") as emulator:
        infer(
            folder,
            emulator.url,
            "--dataset",
            write_rows(folder / "r", rows),
            "--max-concurrent",
            "500",
            "--save-every",
            "50",
        )
        stats = emulator.get("stats")
    seconds = stats["last_answer_at"] - stats["first_request_at"]
    share = stats["answers"] / (seconds * 50)
    assert stats["answers"] == rows
    assert stats["peak_in_flight"] <= 500
    refused = stats["by_status"].get("429", 0)
    table.add(
        "429s: share of the allowed rate, 500 in flight at most", f"{share:.2f}", ">= 0.90", f"{refused:,} refused"
    )


def bench_resume(table: Table, folder: Path, short: bool) -> None:
    """Finished rows to a written CSV, beyond what a resumed run of 10 rows takes."""
    sizes = (500, 2000) if short else (5000, 50_000)
    for save_every in (10, 50):
        with api() as emulator:
            flags = ["--max-concurrent", "100", "--save-every", str(save_every)]
            small = ["--dataset", write_rows(folder / f"p10-{save_every}", 10), *flags]
            infer(folder, emulator.url, *small)
            base = infer(folder, emulator.url, *small, "--resume").seconds
            took = []
            for rows in sizes:
                data = ["--dataset", write_rows(folder / f"p{rows}-{save_every}", rows), *flags]
                infer(folder, emulator.url, *data)
                emulator.reset()
                took.append(infer(folder, emulator.url, *data, "--resume").seconds - base)
                assert emulator.get("stats")["requests"] == 0
        what = f"resume {sizes[1]:,} finished rows, save_every {save_every}"
        table.add(what, f"{took[1]:.1f} s", "<= 5 s" if not short else "", f"{sizes[0]:,} rows: {took[0]:.1f} s")


def bench_planning(table: Table, folder: Path, short: bool) -> None:
    sys.path.insert(0, str(ROOT))
    from tasks.core.chunks import plan_resume
    from tasks.core.config import GenerateConfig, RunConfig
    from tasks.core.records import Kind, RowResult
    from tasks.core.sources import resolve
    from tasks.dataset import sample_keys

    took = []
    for rows in (500, 5000) if short else (5000, 50_000):
        ref = resolve(RunConfig.model_validate({"dataset": write_rows(folder / f"q{rows}", rows)}))
        generation = GenerateConfig(model="m")
        kept = [RowResult(row=0, id=i, key=key, kind=Kind.ANSWERED) for key, i in sample_keys(ref, generation)][::2]
        started = time.monotonic()
        plan = plan_resume(sample_keys(ref, generation), kept, 10)
        took.append(time.monotonic() - started)
        assert plan.to_send == rows // 2
    table.add(
        "planning 50,000 rows" if not short else "planning", f"{took[1]:.2f} s", "<= 3 s", f"a tenth: {took[0]:.2f} s"
    )


BENCHES: dict[str, Callable[[Table, Path, bool], None]] = {
    "efficiency": bench_efficiency,
    "cpu": bench_cpu,
    "saturated": bench_saturated,
    "memory": bench_memory,
    "start": bench_start,
    "rate-limit": bench_rate_limit,
    "planning": bench_planning,
    "resume": bench_resume,
}


@contextmanager
def prefect_server(folder: Path) -> Iterator[None]:
    """One Prefect server for all runs but those that measure the start."""
    sys.path.insert(0, str(ROOT))
    os.environ["PREFECT_HOME"] = str(folder / "home")
    from flows.local_server import LocalServer

    with LocalServer() as server:
        os.environ["PREFECT_API_URL"] = server.url or ""
        yield


def main(arguments: list[str] | None = None) -> Table:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small sizes")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES))
    options = parser.parse_args(arguments)
    table = Table()
    with tempfile.TemporaryDirectory() as name, prefect_server(Path(name)):
        for bench in options.only:
            BENCHES[bench](table, Path(name), options.short)
    print(f"\n{os.cpu_count()} cores\n\n{table.markdown()}")
    return table


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plain"]:
        asyncio.run(run_plain(sys.argv[2], *map(int, sys.argv[3:6])))
    else:
        main()
