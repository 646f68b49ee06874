"""What the promises cost: every figure beside its target and beside the plain way, measured in the same run.

    uv run --group dev python tests/benchmark.py                      all of it: some 40 minutes on 2 cores
    uv run --group dev python tests/benchmark.py --only efficiency    one figure
    uv run --group dev python tests/benchmark.py --short              small sizes, for a first look
    uv run --group dev python tests/benchmark.py --markdown           the table as docs/benchmark.md has it

Other load on the machine spoils absolute figures; of repeated measurements the best one counts. The emulator and
the Prefect server run in processes of their own: CPU and memory are those of the command's process alone.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script; pytest knows the way
    sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.measuring import Cost, Storm, emulator, infer, measured, plain, write_rows

HEADER = ("what", "measured", "target", "for comparison")
JPEGS: dict[str, Any] = {"images": 20, "image_bytes": 189_000, "suffix": ".jpg"}  # one in every row
EMPTY_FLOW = "from prefect import flow\n@flow\ndef empty():\n    pass\nempty()\n"


@dataclass
class Table:
    """Rows of the report: what, measured, target, for comparison."""

    short: bool
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(self, what: str, measured: str, target: str, comparison: str = "") -> None:
        """Targets are for full sizes."""
        target = "" if self.short else target
        self.rows.append((what, measured, target, comparison))
        print(f"{what:<66} {measured:>14} {target:>16}   {comparison}", file=sys.stderr, flush=True)

    def markdown(self) -> str:
        lines = [HEADER, ("---",) * len(HEADER), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bench_efficiency(table: Table, folder: Path) -> None:
    """Against a perfect scheduler; the plain ways send fewer rows where they would take minutes."""
    cases = [(400, 0.5, 10, 10, 5), (3000, 1.0, 100, 50, 0)]
    for rows, mean, slots, save_every, images in [(150, 0.2, 10, 10, 5)] if table.short else cases:
        data = write_rows(folder / f"efficiency{rows}", rows, images=images, every=3)
        reached = []
        with emulator("--latency", f"lognormal:{mean}:0.6", "--seed", "7") as api:
            infer(folder, api.url, data, max_concurrent=slots, save_every=save_every)
            assert api.get("stats")["answers"] == rows
            assert api.get("stats")["peak_in_flight"] <= slots
            reached.append(api.efficiency(slots))
            for batch in (save_every, 0):
                api.post("reset")
                plain(api.url, 10 * save_every if batch else rows, slots, batch)
                reached.append(api.efficiency(slots))
        what = f"efficiency: {rows:,} rows, {mean:g} s, {slots} in flight, save_every {save_every}"
        what += ", a third with images" if images else ""
        table.add(what, f"{reached[0]:.3f}", "≥ 0.98", f"batches {reached[1]:.2f}, bare pool {reached[2]:.3f}")


def bench_cpu(table: Table, folder: Path) -> None:
    """The slope between two sizes: start-up drops out. Ours and the bare pool in turn, the least of each counts."""
    _cpu(table, folder, "text", (100, 600) if table.short else (500, 8500), 1.0)


def bench_cpu_images(table: Table, folder: Path) -> None:
    _cpu(table, folder, "189 KB JPEGs", (100, 300) if table.short else (300, 3300), 1.1, **JPEGS)


def _cpu(table: Table, folder: Path, what: str, sizes: tuple[int, int], target: float, **images: Any) -> None:
    seconds: dict[tuple[str, int], float] = {}
    data = {rows: write_rows(folder / f"cpu{rows}", rows, **images) for rows in sizes}

    def note(who: str, rows: int, cost: Cost) -> None:
        seconds[who, rows] = min(cost.cpu_seconds, seconds.get((who, rows), cost.cpu_seconds))

    with emulator("--latency", "0.05") as api:
        for _ in range(1 if table.short else 3):
            for rows in sizes:
                pictures = folder / f"cpu{rows}" if images else None
                note("pool", rows, plain(api.url, rows, 50, images=pictures))
                note("ours", rows, infer(folder, api.url, data[rows], max_concurrent=50, save_every=50))

    few, many = sizes
    ours, pool = ((seconds[who, many] - seconds[who, few]) / (many - few) * 1e3 for who in ("ours", "pool"))
    table.add(
        f"CPU a row, {what}, save_every 50", f"{ours:.2f} ms", f"≤ {target:g} of the pool's", _beside(ours, pool, "ms")
    )


def bench_saturated(table: Table, folder: Path) -> None:
    """Ours and the bare pool in turn, the best of each counts."""
    _saturated(table, folder, "text", 1000 if table.short else 10_000, "≥ 1000 rows/s")


def bench_saturated_images(table: Table, folder: Path) -> None:
    _saturated(table, folder, "189 KB JPEGs", 300 if table.short else 3000, "≥ 0.9 of the pool's", **JPEGS)


def _saturated(table: Table, folder: Path, what: str, rows: int, target: str, **images: Any) -> None:
    ours, pool = [], []
    data = write_rows(folder / "saturated", rows, **images)
    with emulator() as api:
        for _ in range(1 if table.short else 3):
            plain(api.url, rows, 100, images=folder / "saturated" if images else None)
            pool.append(rows / api.seconds)
            api.post("reset")
            infer(folder, api.url, data, max_concurrent=100, save_every=100)
            ours.append(rows / api.seconds)
            api.post("reset")
    table.add(
        f"saturated: {what}, no latency, save_every 100",
        f"{max(ours):.0f} rows/s",
        target,
        _beside(max(ours), max(pool), "rows/s"),
    )


def _beside(ours: float, pool: float, unit: str) -> str:
    return f"bare pool {pool:.{2 if pool < 10 else 0}f} {unit}; {ours / pool:.2f} of it"


def bench_media(table: Table, folder: Path) -> None:
    """Rows with three images beside rows with one: three times the bytes, once the rest."""
    rows = 200 if table.short else 1000
    data = {n: write_rows(folder / f"media{n}", rows, images=20, image_bytes=100_000, a_row=n) for n in (1, 3)}
    with emulator() as api:
        one, three = (infer(folder, api.url, data[n], max_concurrent=20, save_every=50) for n in (1, 3))
    extra = three.anonymous_mb - one.anonymous_mb
    table.add(
        f"three images of 100 KB a row beside one, {rows:,} rows",
        f"{three.cpu_seconds / one.cpu_seconds:.2f} times the CPU, {extra:+.0f} MB",
        "≤ 3 times, ≤ +100 MB",
        f"{one.cpu_seconds:.1f} to {three.cpu_seconds:.1f} s; {one.anonymous_mb:.0f} to {three.anonymous_mb:.0f} MB",
    )


def bench_memory(table: Table, folder: Path) -> None:
    """Peaks are those of the whole run, start-up and CSV included."""
    few, many = (200, 1000) if table.short else (1000, 20_000)
    data = {rows: write_rows(folder / f"memory{rows}", rows, images=20, image_bytes=100_000) for rows in (few, many)}
    for save_every in (10, 500):
        with emulator() as api:
            small, large = (
                infer(folder, api.url, data[rows], max_concurrent=20, save_every=save_every) for rows in (few, many)
            )
        table.add(
            f"memory: {few:,} to {many:,} rows of 100 KB images, save_every {save_every}",
            f"{large.anonymous_mb - small.anonymous_mb:+.0f} MB",
            "≤ +100 MB",
            f"{small.anonymous_mb:.0f} to {large.anonymous_mb:.0f} MB; "
            f"with mapped files {small.peak_mb:.0f} to {large.peak_mb:.0f} MB",
        )


def bench_start(table: Table, folder: Path) -> None:
    """Without a server configured, in a home that has its database; the first of each is left out."""
    data = write_rows(folder / "start", 5)
    with without_server(folder / "start-home"):
        runs = [_start(folder, data) for _ in range(2 if table.short else 5)][1:]
    first, empty = min(run[0] for run in runs), min(run[1] for run in runs)
    table.add("start: command to first request", f"{first:.1f} s", "≤ an empty flow", f"empty flow {empty:.1f} s")


def _start(folder: Path, data: str) -> tuple[float, float]:
    """Seconds from the command to the first request, and of a whole empty flow."""
    with emulator() as api:
        started_at = infer(folder, api.url, data).started_at
        first = float(api.get("stats")["first_request_at"]) - started_at
    patient = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}  # its 20 are too few on a loaded machine
    return first, measured([sys.executable, "-c", EMPTY_FLOW], folder, **patient).seconds


def bench_rate_limit(table: Table, folder: Path) -> None:
    """50 requests a second are allowed, the first 50 at once; the rest is answered with 429."""
    rate, rows = 50, 300 if table.short else 3000
    data = write_rows(folder / "rate", rows)
    for tell_delay in (True, False):
        with emulator("--latency", "lognormal:0.5:0.6") as api:
            api.post("limits", {"requests_per_second": rate, "tell_delay": tell_delay})
            infer(folder, api.url, data, max_concurrent=500, save_every=50)
            stats, seconds = api.get("stats"), api.seconds
        assert stats["answers"] == stats["distinct_answered"] == rows
        assert stats["peak_in_flight"] <= 500
        table.add(
            f"429s: share of the {rate} a second allowed, {'with' if tell_delay else 'no'} retryDelay",
            f"{(rows - rate) / seconds / rate:.3f}",
            "≥ 0.90",
            f"peak {stats['peak_in_flight']} in flight, {stats['by_status'].get('429', 0):,} refused of "
            f"{stats['requests']:,}",
        )


def bench_storm(table: Table, folder: Path) -> None:
    """Half a second an answer. The plain way tries five times, as the SDK does when it is told to."""
    rows, slots, latency, lasts = (100, 10, 0.5, 10) if table.short else (300, 10, 0.5, 60)
    data = write_rows(folder / "storm", rows)
    gone = ("availability", {"outage": {"kind": "api_error"}}), ("availability", {"outage": None})
    cases: list[tuple[str, str, Any, Any]] = [("503 for everybody", "≤ 60 requests", *gone)]
    for share, target in ((0.7, ""), (0.5, "")):
        some = {"behaviour": {"kind": "api_error"}, "probability": share}
        cases.append((f"503 for {share:.0%}", target, ("rules", [some]), ("rules", [])))

    def through(send: Callable[[str], Cost], worse: Any, better: Any) -> str:
        with emulator("--latency", str(latency), "--seed", "7") as api:
            storm = Storm(api, worse, better, 2 if table.short else 5, lasts)
            send(api.url)
            storm.over()
            stats = api.get("stats")
            late = api.seconds - rows * latency / slots - (lasts if worse == gone[0] else 0)
        lost = rows - stats["distinct_answered"]
        return f"{lost} lost, {storm.requests} requests, {stats['requests'] / rows:.1f} a row, {late:+.0f} s"

    def ours(url: str) -> Cost:
        return infer(folder, url, data, max_concurrent=slots)

    def retrying(url: str) -> Cost:
        return plain(url, rows, slots, attempts=5)

    for what, target, worse, better in cases:
        table.add(
            f"storm: {what} for {lasts} s, {rows} rows, {slots} in flight",
            through(ours, worse, better),
            f"0 lost{', ' * bool(target)}{target}",
            f"SDK with 5 attempts: {through(retrying, worse, better)}",
        )


def bench_planning(table: Table, folder: Path) -> None:
    few, many = (500, 5000) if table.short else (5000, 50_000)
    small, large = (min(planning_seconds(folder, rows) for _ in range(3)) for rows in (few, many))
    table.add(f"planning {many:,} rows", f"{large:.2f} s", "< 3 s", f"{few:,} rows: {small:.2f} s")


def planning_seconds(folder: Path, rows: int) -> float:
    """Half of the rows are finished."""
    from tasks.core.checkpoint.table import AnswerTable
    from tasks.core.config.generation import GenerateConfig
    from tasks.core.config.parameters import RunConfig
    from tasks.core.data.sources import resolve
    from tasks.core.planning.resume import plan_resume
    from tasks.core.planning.sample_keys import sample_keys
    from tasks.core.prompts.prepare import Preparer
    from tasks.core.records import Kind, RowAnswer

    ref = resolve(RunConfig.model_validate({"dataset": write_rows(folder / f"planning{rows}", rows)}))
    generation = GenerateConfig(model="m")
    kept = [
        RowAnswer(row=n, id=i, key=key, kind=Kind.ANSWERED)
        for n, (key, i) in enumerate(sample_keys(ref, Preparer(generation)))
    ][::2]
    started = time.monotonic()
    table = AnswerTable()
    table.kept.add("earlier-1", kept)
    table.matching.ask(sample_keys(ref, Preparer(generation)))
    plan = plan_resume(table, 10)
    taken = time.monotonic() - started
    assert plan.to_send == rows // 2
    return taken


def bench_resume(table: Table, folder: Path) -> None:
    """Finished rows to a written CSV, beyond what the same takes for 10 rows."""
    few, many = (500, 2000) if table.short else (5000, 50_000)
    for save_every in (10, 50):
        start_up, small, large = (_resume(folder, rows, save_every) for rows in (10, few, many))
        table.add(
            f"resume: {many:,} finished rows to a CSV, save_every {save_every}",
            f"{large.seconds - start_up.seconds:.1f} s",
            "≤ 5 s",
            f"{large.cpu_seconds - start_up.cpu_seconds:.1f} s of CPU; "
            f"{few:,} rows: {small.seconds - start_up.seconds:.1f} s; start-up {start_up.seconds:.1f} s",
        )


def _resume(folder: Path, rows: int, save_every: int) -> Cost:
    data = write_rows(folder / f"resume{rows}-{save_every}", rows)
    with emulator() as api:
        infer(folder, api.url, data, max_concurrent=100, save_every=save_every)
        api.post("reset")
        runs = [infer(folder, api.url, data, resume=True, save_every=save_every) for _ in range(3)]
        assert api.get("stats")["requests"] == 0
    return min(runs, key=lambda run: run.seconds)


def bench_million(table: Table, folder: Path) -> None:
    """Answers of 1,000 characters, `save_every` 100, beyond what ten rows take; the checkpoint is made by hand."""
    few, many = (500, 5000) if table.short else (10_000, 1_000_000)
    data = {rows: write_rows(folder / f"million{rows}", rows) for rows in (10, few, many)}
    for missing_every, what in ((0, "resume of all"), (10, "resume, one row in ten missing")):
        start_up, small, large = (_resume_by_hand(folder, data[rows], rows, missing_every) for rows in (10, few, many))
        table.add(
            f"{what}: memory at {many:,} rows, above the start-up",
            f"{large.anonymous_mb - start_up.anonymous_mb:+.0f} MB",
            "≤ +600 MB",
            f"{few:,} rows {small.anonymous_mb - start_up.anonymous_mb:+.0f} MB",
        )
        to_csv, whole = large.csv_seconds - start_up.csv_seconds, large.seconds - start_up.seconds
        table.add(
            f"{what}: {many:,} rows to the CSV",
            f"{to_csv:.0f} s",
            "" if missing_every else "≤ 60 s",
            f"then records put together and the report: {whole:.0f} s in all, "
            f"{large.cpu_seconds - start_up.cpu_seconds:.0f} s of CPU; {few:,} rows "
            f"{small.csv_seconds - start_up.csv_seconds:.1f} s",
        )


def _resume_by_hand(folder: Path, data: str, rows: int, missing_every: int) -> Cost:
    from tests.million import write_checkpoint

    write_checkpoint(data, 100, missing_every)
    with emulator() as api:
        cost = infer(folder, api.url, data, max_concurrent=100, resume=True, save_every=100)
        assert api.get("stats")["distinct_answered"] == (-(-rows // missing_every) if missing_every else 0)
    return cost


BENCHES: dict[str, Callable[[Table, Path], None]] = {
    "efficiency": bench_efficiency,
    "cpu": bench_cpu,
    "cpu-images": bench_cpu_images,
    "saturated": bench_saturated,
    "saturated-images": bench_saturated_images,
    "media": bench_media,
    "memory": bench_memory,
    "start": bench_start,
    "rate-limit": bench_rate_limit,
    "storm": bench_storm,
    "planning": bench_planning,
    "resume": bench_resume,
    "million": bench_million,
}


@contextmanager
def one_server(folder: Path) -> Iterator[None]:
    """One Prefect server for all runs but those that measure the start; all that is cached goes to `folder`."""
    from flows.local_server import LocalServer

    os.environ.pop("PREFECT_API_URL", None)
    os.environ |= {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "HF_DATASETS_CACHE": str(folder / "cache"),
    }
    with LocalServer():
        yield


@contextmanager
def without_server(home: Path) -> Iterator[None]:
    before = {name: os.environ.get(name, "") for name in ("PREFECT_API_URL", "PREFECT_HOME")}
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(home)
    try:
        yield
    finally:
        os.environ |= before


def machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load before the run {os.getloadavg()[0]:.1f}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small sizes")
    parser.add_argument("--only", nargs="+", choices=list(BENCHES), default=list(BENCHES), metavar="NAME")
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown at the end")
    options = parser.parse_args(arguments)
    table, where = Table(options.short), machine()
    print(where, file=sys.stderr)
    with tempfile.TemporaryDirectory() as name, one_server(Path(name)):
        for bench in options.only:
            BENCHES[bench](table, Path(name))
    if options.markdown:
        print(f"{table.markdown()}\n\n{where}")


if __name__ == "__main__":
    main()
