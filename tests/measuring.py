"""What the benchmark measures with: data sets, the emulator, the command and the plain ways in processes of their own.

python tests/measuring.py URL ROWS SLOTS BATCH ATTEMPTS [IMAGES]    the plain way: the SDK as it comes, without this
                                                                    project; IMAGES: a folder of JPEGs
"""

import asyncio
import heapq
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
POLL_SECONDS = 0.02


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

    def post(self, what: str, value: Any = None) -> None:
        request = urllib.request.Request(f"{self.url}/emulator/{what}", json.dumps(value).encode(), method="POST")
        urllib.request.urlopen(request).close()

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        stats = self.get("stats")
        return float(stats["last_answer_at"] - stats["first_request_at"])

    def efficiency(self, slots: int) -> float:
        """A perfect scheduler's time for the latencies that were given, as a share of the time that was taken."""
        return efficiency_of(self.get("latencies"), slots)

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate()


@contextmanager
def emulator(*flags: str) -> Iterator[Api]:
    running = Api(*flags)
    try:
        yield running
    finally:
        running.close()


def efficiency_of(timings: list[list[Any]], slots: int) -> float:
    """`timings`: the emulator's [start, latency, elapsed, status] of each reply, in seconds.

    Perfect: each request goes out the moment a slot is free, in the order in which they went out.
    """
    timings = sorted(timings)
    free = [0.0] * slots
    for _, latency, _, _ in timings:
        heapq.heapreplace(free, free[0] + latency)
    taken = max(start + elapsed for start, _, elapsed, _ in timings) - timings[0][0]
    return float(max(free) / taken)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one process from its start to its end. `anonymous_mb`: memory of its own at most, mapped files apart.

    `csv_seconds`: until its CSV had its name; 0 where it wrote none.
    """

    started_at: float
    seconds: float
    cpu_seconds: float
    peak_mb: float
    anonymous_mb: float
    csv_seconds: float = 0.0


def infer(folder: Path, url: str, data: str, **flags: Any) -> Cost:
    """`python flows/infer.py`, where results and CSV go to `folder`; a flag that is True has no value."""
    command = [sys.executable, str(ROOT / "flows" / "infer.py"), "--dataset", data]
    for name, value in flags.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    cost = measured(command, folder, GOOGLE_API_KEY="k", GOOGLE_GEMINI_BASE_URL=url)
    named = [path.stat().st_ctime for path in folder.glob("result/*_result.csv")]
    return replace(cost, csv_seconds=max(named) - (time.time() - time.monotonic()) - cost.started_at)


def plain(url: str, rows: int, slots: int, batch: int = 0, attempts: int = 1, images: Path | None = None) -> Cost:
    """The SDK as it comes: a pool of `slots` workers, or `gather` for `batch` after `batch`; rows may be lost.

    With `images`, a folder, each row reads one of its JPEGs from disk, as a row of `write_rows` does.
    """
    numbers = map(str, (rows, slots, batch, attempts))
    return measured([sys.executable, __file__, url, *numbers, *([str(images)] if images else [])], ROOT)


class Storm:
    """What the emulator goes through: `worse` is posted `after` seconds of requests, `better` `lasts` seconds later.

    `requests`: so many arrived between the two.
    """

    def __init__(self, api: Api, worse: tuple[str, Any], better: tuple[str, Any], after: float, lasts: float) -> None:
        self.requests = 0
        self._api, self._worse, self._better, self._after, self._lasts = api, worse, better, after, lasts
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        while not (began := self._api.get("stats")["first_request_at"]):
            time.sleep(POLL_SECONDS)
        time.sleep(max(0.0, began + self._after - time.monotonic()))
        before = self._api.get("stats")["requests"]
        self._api.post(*self._worse)
        time.sleep(self._lasts)
        self.requests = self._api.get("stats")["requests"] - before
        self._api.post(*self._better)

    def over(self) -> None:
        self._thread.join()


def measured(command: list[str], folder: Path, **variables: str) -> Cost:
    """Run a command to its end; it must succeed."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        environment = os.environ | variables
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        peak = anonymous = 0.0
        ended = 0
        while not ended:
            peak = max(peak, _memory_mb(process.pid, "VmHWM"))
            anonymous = max(anonymous, _memory_mb(process.pid, "RssAnon"))
            time.sleep(POLL_SECONDS)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        assert process.returncode == 0, output.read()
        return Cost(started, time.monotonic() - started, usage.ru_utime + usage.ru_stime, peak, anonymous)


def _memory_mb(pid: int, name: str) -> float:
    """0 where the system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def prompt(number: int) -> str:
    return f"What is number {number}? " + "Please explain. " * 6


def write_rows(
    folder: Path,
    rows: int,
    *,
    images: int = 0,
    image_bytes: int = 20_000,
    every: int = 1,
    suffix: str = ".png",
    a_row: int = 1,
) -> str:
    """A JSONL data set; every `every`-th row with `a_row` of `images` pictures. Returns its path."""
    folder.mkdir(exist_ok=True)
    names = [_write_image(folder / f"{n}{suffix}", n, image_bytes) for n in range(images)]
    with (folder / "data.jsonl").open("w") as file:
        for n in range(rows):
            found = [names[(n // every + m) % images] for m in range(a_row)] if images and n % every == 0 else []
            picture = {"image_path": found if a_row > 1 else "".join(found)} if images else {}
            file.write(json.dumps({"id": f"r{n}", "input_query": prompt(n)} | picture) + "\n")
    return str(folder / "data.jsonl")


def _write_image(path: Path, seed: int, size: int) -> str:
    """Noise, which does not compress: its bytes grow with its pixels, in a JPEG as in a PNG."""
    import numpy as np
    from PIL import Image

    def write(side: int) -> None:
        pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)

    side = int((size / 3) ** 0.5)
    write(side)
    write(round(side * (size / path.stat().st_size) ** 0.5))
    return path.name


async def _plain(url: str, rows: int, slots: int, batch: int, attempts: int, pictures: list[Path]) -> None:
    from google import genai
    from google.genai import errors, types

    retries = types.HttpRetryOptions(attempts=attempts) if attempts > 1 else None
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url, retry_options=retries)).aio
    config = types.GenerateContentConfig(
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), automatic_continuation=False
    )
    numbers = iter(range(rows))
    gate = asyncio.Semaphore(slots)

    def contents(number: int) -> list[types.PartUnion]:
        if not pictures:
            return [prompt(number)]
        data = pictures[number % len(pictures)].read_bytes()
        return [types.Part.from_bytes(data=data, mime_type="image/jpeg"), prompt(number)]

    async def ask(number: int) -> None:
        async with gate:
            try:
                await client.models.generate_content(model="gemini-2.5-flash", contents=contents(number), config=config)
            except errors.APIError:
                if attempts == 1:
                    raise

    async def work() -> None:
        for number in numbers:
            await ask(number)

    if batch:
        while part := [number for _, number in zip(range(batch), numbers, strict=False)]:
            await asyncio.gather(*map(ask, part))
    else:
        await asyncio.gather(*(work() for _ in range(slots)))
    await client.aclose()


if __name__ == "__main__":
    url, *numbers = sys.argv[1:6]
    jpegs = sorted(Path(sys.argv[6]).glob("*.jpg")) if sys.argv[6:] else []
    rows, slots, batch, attempts = map(int, numbers)
    asyncio.run(_plain(url, rows, slots, batch, attempts, jpegs))
