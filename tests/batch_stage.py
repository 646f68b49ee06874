"""Many plays of real processes at a time: a run killed at each of its steps and requests, and seeds."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.batch_draw import draw
from tests.batch_play import GROUP_ROWS, Act, Played, Prepare, Stage, play
from tests.batch_reaper import Death
from tests.chaos_processes import Warm
from tests.services import clean_environment

type Play = tuple[str, list[Act], Prepare | None]


@contextmanager
def stage() -> Iterator[Stage]:
    """A folder, a Prefect server, and an interpreter that forks for every run."""
    folder = Path(tempfile.mkdtemp(prefix="batch-chaos-"))
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    from flows.local_server import LocalServer

    with LocalServer():
        server = {name: text for name, text in os.environ.items() if name.startswith("PREFECT_API_")}
        environment = clean_environment() | {"PREFECT_HOME": str(folder / "warm"), "GROUP_ROWS": str(GROUP_ROWS)}
        with Warm(environment, "batch_warm.py") as warm:
            yield Stage(folder, warm, server)


def plays_of_every_step(on: Stage) -> list[Play]:
    """A run killed before each of its steps, and before and after each of its requests."""
    undisturbed = play("undisturbed", on, [])
    assert not undisturbed.problems, undisturbed.output
    steps: list[Play] = [(f"step {n} {what}", [Act(step=n)], None) for n, what in enumerate(undisturbed.steps)]
    return steps + [
        (f"request {n} {what} {'after' if after else 'before'}", [Act(Death(n, after))], None)
        for n, what in enumerate(undisturbed.requests)
        for after in (False, True)
    ]


def plays_of_seeds(seeds: Iterable[int]) -> list[Play]:
    return [(f"seed {seed}", list(draw(seed).acts), draw(seed).prepare) for seed in seeds]


def play_all(on: Stage, plays: Iterable[Play], at_once: int) -> bool:
    """Whether all went well; prints what did not, and how much there was of everything."""
    counts, started, wrong, number = Counter[str](), time.monotonic(), 0, 0
    with ThreadPoolExecutor(at_once) as pool:
        futures = [
            pool.submit(
                partial(play, prepare=prepare) if prepare else play, f"{n:04d} {name.replace('/', '~')}", on, acts
            )
            for n, (name, acts, prepare) in enumerate(plays)
        ]
        try:
            for future in as_completed(futures):
                played: Played = future.result()
                counts.update(played.counts)
                number += 1
                if played.problems:
                    wrong += 1
                    print(f"{played.name}: {'; '.join(played.problems)}\n{played.output}\n", flush=True)
        except KeyboardInterrupt:  # with what there is by now
            pool.shutdown(cancel_futures=True)
    print(f"{number} plays in {time.monotonic() - started:.0f} s, {wrong} with a problem")
    print("\n".join(f"{what:<48} {n:,}" for what, n in counts.items()))
    return not wrong
