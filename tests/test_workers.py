"""Many at once, each handed over as it comes: whatever the end, nothing that has come is lost."""

import asyncio
from contextlib import aclosing

import pytest

from tasks.core.answering.workers import as_they_come


async def at_once(item: int) -> int:
    return item


async def never(item: int) -> int:
    await asyncio.sleep(3600)
    return item


async def test_an_item_is_taken_only_when_a_worker_is_free_for_it() -> None:
    """So a chunk of any size costs the memory of what is at work."""
    taken: list[int] = []
    results = as_they_come((taken.append(n) or n for n in range(100)), never, 3)  # type: ignore[func-returns-value]
    waiting = asyncio.create_task(anext(results))
    await asyncio.sleep(0.01)
    assert taken == [0, 1, 2]
    waiting.cancel()
    await asyncio.wait([waiting])
    assert sorted([each async for each in as_they_come(range(100), at_once, 3)]) == list(range(100))


async def test_an_error_is_raised_once_the_others_have_come() -> None:
    """It ends its own worker; those that are on their way are paid for."""

    async def work(item: int) -> int:
        await asyncio.sleep(0.001 * item)
        if item == 1:
            raise ValueError("one")
        return item

    came: list[int] = []

    async def caller() -> None:
        async for each in as_they_come(range(6), work, 2):
            came.append(each)

    with pytest.raises(ValueError, match="one"):
        await caller()
    assert came == [0, 2, 3, 4, 5]


async def test_a_cancelled_caller_gets_what_has_come_first() -> None:
    """Even what came in the very turn of the loop in which it was cancelled."""
    ready = asyncio.Event()
    came: list[int] = []

    async def work(item: int) -> int:
        if item == 9:
            await asyncio.sleep(3600)
        await ready.wait()
        return item

    async def caller() -> None:
        async for each in as_they_come([0, 1, 2, 9], work, 4):
            came.append(each)

    task = asyncio.create_task(caller())
    await asyncio.sleep(0.01)
    ready.set()
    asyncio.get_running_loop().call_soon(task.cancel)  # after the workers have gone on, before the caller has
    with pytest.raises(asyncio.CancelledError):
        await task
    assert came == [0, 1, 2]


async def test_who_closes_early_leaves_no_worker_behind() -> None:
    """Nothing goes on, and is paid for, that nobody waits for."""
    before = asyncio.all_tasks()

    async def work(item: int) -> int:
        return await (never(item) if item else at_once(item))

    async with aclosing(as_they_come(range(5), work, 5)) as results:
        assert await anext(results) == 0
    assert asyncio.all_tasks() == before
