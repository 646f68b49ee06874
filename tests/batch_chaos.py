"""Batch runs that are killed at random steps, one process after the other, by an API that does what it likes.

    uv run --group dev python -m tests.batch_chaos --seeds 2000
    uv run --group dev python -m tests.batch_chaos --processes --seeds 200
    uv run --group dev python -m tests.batch_chaos --every-step

Each seed is a world (see tests/batch_world.py): what becomes of creates, how jobs end, what results files look like,
how much fits, and when each process dies. It prints what went wrong, and how much there was of everything.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tasks.core.config.batch import Leftovers
from tests.batch_world import SCRIPTS, Process, Script, World, run

ROWS = 12
type Lines = list[dict[str, Any]]
FATES = ("SUCCEEDED", "SUCCEEDED", "SUCCEEDED", "FAILED", "EXPIRED")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", action="store_true", help="Real runs, as processes, against the emulator.")
    parser.add_argument("--every-step", action="store_true", help="A real run, killed at each of its steps in turn.")
    parser.add_argument("--at-once", type=int, default=4, help="Plays of real processes at the same time.")
    options = parser.parse_args()
    if options.processes or options.every_step:
        return _processes(options)
    counts, wrong = Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first, options.first + options.seeds):
            if problem := play(seed, Path(folder), counts) or within_budget(seed, Path(folder)):
                wrong += 1
                print(f"seed {seed}: {problem}")
    print(f"{options.seeds} seeds, {wrong} with a problem; {', '.join(f'{n:,} {what}' for what, n in counts.items())}")
    return 1 if wrong else 0


def _processes(options: argparse.Namespace) -> int:
    from tests.batch_stage import play_all, plays_of_every_step, plays_of_seeds, stage

    with stage() as on:
        seeds = range(options.first, options.first + options.seeds)
        plays = plays_of_every_step(on) if options.every_step else plays_of_seeds(seeds)
        return 0 if play_all(on, plays, options.at_once) else 1


def play(seed: int, folder: Path, counts: Counter[str]) -> str:
    """What is wrong in the end; empty where nothing is."""
    random = Random(seed)
    world = World(
        folder,
        random.choice(list(SCRIPTS.values())),
        {number: random.choice(FATES) for number in range(6)},
        run_seconds=random.choice([0, 60, 1000, 20_000]),
        most_rows=random.choice([1000, 1000, 1000, 2]),
        most_active=random.choice([100, 100, 1, 2]),
        spoil=_spoil(random),
    )
    for _ in range(random.randrange(1, 6)):
        process, _ = run(world, ROWS, dies_at=random.randrange(160) / 2)
        counts["processes"] += 1
        counts["killed"] += not process.alive
    for _ in range(4):
        if len(world.answered()) == ROWS:
            break
        run(world, ROWS)
        counts["processes"] += 1
    counts["jobs"] += len(world.jobs)
    counts["creates"] += world.creates
    counts["rows paid"] += world.paid.total()
    return _problem(world)


def within_budget(seed: int, folder: Path) -> str:
    """A world with a limit, which is raised from time to time; what is wrong in the end."""
    random = Random(seed)
    world = World(
        folder,
        random.choice([*SCRIPTS.values(), Script("drop", listed_seconds=1200)]),
        {number: random.choice((*FATES, "CANCELLED")) for number in range(6)},
        run_seconds=random.choice([0, 60, 1000]),
        most_rows=random.choice([1000, 1000, 2]),
        limit=0.0,
    )
    for number in range(12):
        assert world.limit is not None
        world.limit += random.choice([0.0, 0.0005, 0.002]) if number < 8 else 0.02
        dies_at = random.randrange(200) / 2 if number < 8 and random.random() < 0.7 else None
        run(world, ROWS, dies_at=dies_at, leftovers=random.choice([Leftovers.ONLINE, Leftovers.BATCH]))
        spent = world.spent(Process(world))
        if world.billed > world.limit + 1e-12:
            return f"{world.billed} billed of {world.limit}"
        if world.billed > spent + 1e-12:
            return f"{world.billed} billed, {spent} on record"
    open_rows = set(range(ROWS)) - {row for row, answer in world.answered().items() if not answer.retryable}
    return f"rows without an answer: {sorted(open_rows)}" if open_rows else ""


def _problem(world: World) -> str:
    answered = world.answered()
    if world.paid_twice:
        return f"paid for twice: {world.paid_twice}"
    if sorted(answered) != list(range(ROWS)):
        return f"rows without an answer: {sorted(set(range(ROWS)) - set(answered))}"
    false = [row for row, answer in answered.items() if answer.response not in ("", f"answer to question {row}")]
    return f"answers of other rows: {false}" if false else ""


def _spoil(random: Random) -> Callable[[Lines], Lines]:
    """A results file may be wrong in what costs no answer."""
    order, doubled, foreign = (random.random() < 0.3 for _ in range(3))

    def spoil(lines: Lines) -> Lines:
        lines = [*lines, lines[0]] if doubled else list(lines)
        lines += [{"key": "000000.of-somebody-else", "text": "question 99"}] if foreign else []
        return lines[::-1] if order else lines

    return spoil


if __name__ == "__main__":
    sys.exit(main())
