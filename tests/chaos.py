"""Plays many scenarios and counts: `python -m tests.chaos --seeds 200`.

A seed with a fault is printed whole, with the times at which things happened, and plays alone with `--seed N`.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.chaos_play import Played, play_all, stage

AT_ONCE = 4  # a run waits for answers most of its time


def main() -> int:
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ.pop("PREFECT_API_URL", None)
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    from flows.local_server import LocalServer

    started, plays = time.monotonic(), []
    with (
        LocalServer(),
        stage(folder, cold=options.cold) as on,
        ThreadPoolExecutor(options.at_once) as pool,
    ):
        futures = play_all(options.seed or range(options.seeds), on, pool)
        for future in as_completed(futures.values()):
            plays.append(future.result())
            if plays[-1].faults or options.verbose:
                print(plays[-1].report(), end="\n\n", flush=True)
    print(table(plays))
    print(f"{'time':<36} {time.monotonic() - started:.0f} s, {options.at_once} scenarios at once")
    if any(each.faults for each in plays):
        print(f"{'kept':<36} {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="Play seeds 0 to N - 1.")
    parser.add_argument("--seed", type=int, action="append", metavar="N", help="Play this one; may be given again.")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help="Scenarios at the same time.")
    parser.add_argument("--cold", action="store_true", help="Start each run as python flows/infer.py, imports and all.")
    parser.add_argument("--verbose", action="store_true", help="Print the seeds without a fault as well.")
    return parser.parse_args()


def table(played: Iterable[Played]) -> str:
    """The figures of a series."""
    plays = sorted(played, key=lambda each: each.scenario.seed)
    runs = [run for each in plays for run in each.runs]
    kills = [cost for each in plays for cost in each.kill_costs]
    acts = [act for each in plays for act in each.scenario.acts]
    later = [act for each in plays for act in each.scenario.acts[1:]]
    lost, in_flight = max(kills, key=sum, default=(0, 0))
    figures = {
        "scenarios": len(plays),
        "runs": len(runs),
        "rows": sum(len(each.scenario.acts[-1].rows) for each in plays),
        "answers": sum(run.account.answers for run in runs),
        "done to runs": _counted(str(event.what) for run in runs for event in run.account.events),
        "edits of the data": sum(bool(act.edit) for act in acts),
        "runs with --limit": sum(act.limit is not None for act in acts),
        "later runs without --resume": sum(not act.resume for act in later),
        "kills": len(kills),
        "wrong rows": sum(each.wrong_rows for each in plays),
        "answers paid twice": sum(run.paid.twice for run in runs),
        "of them beyond what a kill may cost": sum(run.paid.unexplained.total() for run in runs),
        "paid again by wish (no --resume)": sum(run.paid.wished for run in runs),
        "the most that one kill cost": f"{lost} answers and {in_flight} requests in flight",
        "a kill on average": f"{sum(cost for cost, _ in kills) / max(1, len(kills)):.1f} answers",
        "longest wait for an old lock": f"{max((each.takeover_seconds for each in plays), default=0.0):.0f} s",
        "faults": _counted(fault.kind for each in plays for fault in each.faults),
        "seeds with faults": " ".join(str(each.scenario.seed) for each in plays if each.faults),
    }
    return "\n".join(f"{name:<36} {value or 'none'}" for name, value in figures.items())


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())


if __name__ == "__main__":
    sys.exit(main())
