"""No row is paid for twice, whenever a process dies and whatever the API does with a create: step by step.

tests/batch_chaos.py goes through many more of the same.
"""

from pathlib import Path
from random import Random
from signal import SIGINT, SIGKILL, SIGTERM

import pytest

from deployments.emulator import FaultKind
from tests.batch_chaos import within_budget
from tests.batch_draw import draw
from tests.batch_world import SCRIPTS, Script, World, run

ROWS = 5


def until_all_are_answered(world: World, most: int = 4) -> None:
    for _ in range(most):
        if len(world.answered()) == ROWS:
            return
        run(world, ROWS)


@pytest.mark.parametrize(("number", "script"), list(enumerate(SCRIPTS.values())), ids=SCRIPTS)
def test_no_row_is_paid_for_twice_wherever_a_process_dies(tmp_path: Path, number: int, script: Script) -> None:
    """Before or after any step of it; the next process goes on, and ends with every answer."""
    step, alive = number % 4 / 2, False
    while not alive:
        world = World(tmp_path, script)
        process, _ = run(world, ROWS, dies_at=step)
        until_all_are_answered(world)
        assert world.paid_twice == {}, f"killed at step {step}"
        assert {row: answer.response for row, answer in world.answered().items()} == {
            row: f"answer to question {row}" for row in range(ROWS)
        }, f"killed at step {step}"
        alive, step = process.alive, step + 2


@pytest.mark.parametrize("seed", range(40))
def test_nor_where_one_process_after_the_other_dies(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    world = World(tmp_path, random.choice(list(SCRIPTS.values())))
    for _ in range(4):
        run(world, ROWS, dies_at=random.randrange(60) / 2)
    until_all_are_answered(world)
    assert (world.paid_twice, len(world.answered())) == ({}, ROWS)


@pytest.mark.parametrize("seed", range(5))
def test_a_budget_is_never_exceeded_wherever_a_process_dies(tmp_path: Path, seed: int) -> None:
    """Not by jobs that bill what they do not answer, nor with rows that go online; with more of it all is answered."""
    assert within_budget(seed, tmp_path) == ""


def test_a_job_that_is_listed_later_than_it_is_looked_for_is_paid_for_twice_and_no_other(tmp_path: Path) -> None:
    """What the README says of it: one group, of a create that was not answered."""
    world = World(tmp_path, Script("drop", listed_seconds=1200))
    run(world, ROWS, group_rows=3)
    assert len(world.answered()) == ROWS
    assert len(world.paid_twice) == 3


def test_a_create_is_asked_for_once_a_group_where_all_is_well(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, ended = run(world, 20, group_rows=3)
    assert (ended.error, world.creates, len(world.jobs), len(world.answered())) == (None, 7, 7, 20)
    assert [key for key in world.records if "/batch/" in key and "collected" not in key] == []
    assert world.files == {}


def test_the_seeds_of_real_processes_do_everything() -> None:
    """Every fault, every way to end, rivals; and a seed always means the same."""
    scripts = [draw(seed) for seed in range(200)]
    acts = [act for script in scripts for act in script.acts]
    assert {fault.kind for script in scripts for fault in script.faults} == set(FaultKind)
    assert {act.death.by for act in acts if act.death} == {SIGKILL, SIGTERM, SIGINT}
    assert any(act.rivals for act in acts)
    assert draw(7) == draw(7)
