"""Runs that are killed, interrupted, stopped, robbed of their storage and met by others, then resumed to the end.

Real processes, seeded. More of them, with figures: `python -m tests.chaos --seeds 200`; here, `CHAOS_SEEDS=200`.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.emulator import Emulator, LogNormal
from deployments.emulator.replies import Usage
from tests.chaos import AT_ONCE, table
from tests.chaos_ledger import Account, Event, TimedLedger, awake_before, blame, digest, settle
from tests.chaos_oracles import wrong_rows
from tests.chaos_play import Played, Stage, play_all, stage
from tests.chaos_processes import Cold, Launcher, Process
from tests.chaos_scenario import Row, What, draw
from tests.services import clean_environment
from tests.support import numbered, write_jsonl

# Few runs that do everything (a test below); `CHAOS_SEEDS` asks for the first so many.
SEEDS: Iterable[int] = range(int(os.environ["CHAOS_SEEDS"])) if "CHAOS_SEEDS" in os.environ else (0, 2, 4, 5, 6, 9)
ROWS = [Row(f"r{n}", f"question {n}") for n in range(4)]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and lets a file and a folder change places"),
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def on(prefect: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("chaos")) as ready:
        yield ready


@pytest.fixture(scope="module")
def plays(on: Stage, request: pytest.FixtureRequest) -> Iterator[dict[int, Future[Played]]]:
    """The seeds that pytest was asked for, some at a time; their figures at the end."""
    ours = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    seeds = [item.callspec.params["seed"] for item in ours if "seed" in item.callspec.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = play_all(seeds, on, pool)
        yield futures
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{table(future.result() for future in futures.values() if not future.exception())}")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_row_comes_back_and_nothing_is_lost_or_paid_twice(plays: dict[int, Future[Played]], seed: int) -> None:
    """Whatever the seed does to the runs; a kill costs the requests in flight and what a second has brought."""
    played = plays[seed].result()
    assert not played.faults, played.report()


def test_the_seeds_of_the_suite_do_everything() -> None:
    """Every kind of harm, limits, edits and fresh runs; and a seed always means the same."""
    acts = [act for seed in SEEDS for act in draw(seed).acts]
    assert {step.what for act in acts for step in act.steps} == set(What)
    assert any(act.edit for act in acts)
    assert any(act.limit for act in acts)
    assert draw(7) == draw(7)
    for seed in range(200):
        *_, last = draw(seed).acts
        assert (last.resume, last.limit, last.steps) == (True, None, ())


def interrupted_and_resumed(launcher: Launcher, folder: Path, on: Stage) -> tuple[list[int], str]:
    """Exit codes of a wrong flag, a run that hears Ctrl+C and one that goes on; what they print, without numbers."""
    folder.mkdir()
    write_jsonl(folder / "d.jsonl", numbered(40))
    processes: list[Process] = []
    with Emulator(latency=LogNormal(0.2, 0.3)).in_thread() as emulator:
        environment = (
            clean_environment()
            | dict(on.server)
            | {
                "PREFECT_HOME": str(folder / "home"),
                "GOOGLE_API_KEY": "k",
                "GOOGLE_GEMINI_BASE_URL": emulator.url,
            }
        )

        def start(*flags: str) -> Process:
            processes.append(launcher.start(flags, folder, environment, folder / f"{len(processes)}.txt"))
            return processes[-1]

        start("--nonsense").ended.result(60)
        run = start("--dataset", "d.jsonl", "--max-concurrent", "4")
        while emulator.stats.answers < 8 and run.alive:
            time.sleep(0.01)
        run.send_to_group(signal.SIGINT)
        run.ended.result(60)
        start("--dataset", "d.jsonl", "--resume").ended.result(60)
        assert emulator.stats.answers == 40
    text = "\n".join(process.text() for process in processes).replace(str(folder), "FOLDER")
    return [process.ended.result() for process in processes], re.sub(r"[0-9a-f]*\d[0-9a-f.:,-]*", "#", text)


def test_a_warm_process_behaves_like_the_command_line(on: Stage, tmp_path: Path) -> None:
    """Exit codes and every line that is printed, a wrong flag and Ctrl+C included."""
    launchers: dict[str, Launcher] = {"warm": on.launcher, "cold": Cold()}
    with ThreadPoolExecutor() as threads:
        futures = [
            threads.submit(interrupted_and_resumed, each, tmp_path / name, on) for name, each in launchers.items()
        ]
        warm, cold = (future.result() for future in futures)
    assert warm == cold
    assert warm[0] == [2, 130, 0]


def account(answers: dict[int, float], *events: Event, fresh: bool = False, away_for_good: bool = True) -> Account:
    """A run that asked for four rows and was answered these at these times."""
    ledger = TimedLedger()
    for row, at in answers.items():
        ledger.note_answer(digest(ROWS[row]), Usage(1, 1), at)
    return Account(ROWS, fresh, away_for_good, ledger, [*events])


def event(at: float, what: What) -> Event:
    return Event(at, what, answers=0, in_flight=0)


def unexplained(later: Account, *earlier: Account) -> int:
    return settle(later, earlier).unexplained.total()


def test_the_account_knows_what_a_kill_may_cost() -> None:
    """What came shortly before it, and not what is older; each answer is lost once."""
    killed = account({0: 1, 1: 2, 2: 8.5, 3: 8.9}, event(9, What.KILL))
    again = account({2: 11, 3: 11})
    assert settle(again, [killed]).twice == 2
    assert unexplained(again, killed) == 0
    assert unexplained(account({0: 11, 2: 11}), killed) == 1
    for _ in range(2):
        blame(settle(again, [killed]).again, [killed])
    assert killed.lost.total() == 2


def test_the_account_forgives_signals_and_short_failures_nothing() -> None:
    """What arrived before Ctrl+C, or while the storage failed for a moment, is there for the next run."""
    away, back = event(7, What.STORAGE_AWAY), event(9, What.STORAGE_BACK)
    signals = (event(9, What.INTERRUPT), event(9.1, What.INTERRUPT))
    again = account({0: 20})
    assert unexplained(again, account({0: 8}, *signals)) == 1
    assert unexplained(again, account({0: 8}, *signals, event(11, What.INTERRUPT))) == 1
    assert unexplained(again, account({0: 10.5}, *signals, event(11, What.INTERRUPT))) == 0
    assert unexplained(again, account({0: 8}, away, back, away_for_good=False)) == 1
    assert unexplained(again, account({0: 8}, away, back, event(10, What.KILL), away_for_good=False)) == 0
    assert unexplained(again, account({0: 8}, away)) == 0


def test_the_account_knows_wishes_from_losses() -> None:
    """A run without --resume pays for its rows again, once; what any run before has paid for is not needed."""
    first = account({0: 1, 1: 2, 2: 3, 3: 4})
    paid = settle(account({0: 5, 1: 6}, fresh=True), [first])
    assert (paid.needed, paid.wished, paid.twice) == (0, 2, 0)
    assert settle(account({}), [first, account({0: 5}, fresh=True)]).needed == 0
    greedy = account({0: 5}, fresh=True)
    greedy.ledger.note_answer(digest(ROWS[0]), Usage(1, 1), 6)
    assert unexplained(greedy, first) == 1


def test_time_in_which_a_process_was_stopped_does_not_count() -> None:
    """It could save nothing in it."""
    stop, wake = event(5, What.STOP), event(8, What.CONTINUE)
    assert awake_before(9, 2, [stop, wake]) == 4
    assert awake_before(9, 2, []) == 7
    assert awake_before(12, 2, [stop, wake]) == 10
    assert awake_before(7, 2, [stop]) == 3


def test_a_row_in_the_wrong_place_is_seen(tmp_path: Path) -> None:
    """So are a row that is missing, and the answer of another one."""
    rows = [replace(ROWS[0], id="a"), ROWS[1]]
    path = tmp_path / "result.csv"
    header = "id,input_query,has_image,response,status,error_message\n"
    path.write_text(header + "a,question 0,False,?,success,\n")
    assert wrong_rows(path, rows) == 2
    assert wrong_rows(tmp_path / "none.csv", rows) == 2
