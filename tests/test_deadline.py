"""Timeouts of a process that stood still."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable

import pytest

from tasks.core.answering.deadline import Deadline

FROZEN = """
import asyncio, sys, os
from tasks.core.answering.deadline import Deadline

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    print("waiting", flush=True)
    async with Deadline(1.0, set()):
        print(await reader.readexactly(6), flush=True)

asyncio.run(main())
"""


async def wait(seconds: float, running: set[Deadline], then: Callable[[Deadline], object] = lambda d: None) -> None:
    async with Deadline(seconds, running) as deadline:
        assert running == {deadline}
        then(deadline)
        await asyncio.sleep(3600)


async def test_it_passes_when_nothing_comes_and_is_over_with_the_block() -> None:
    """Nothing is cancelled afterwards."""
    running: set[Deadline] = set()
    with pytest.raises(TimeoutError):
        await wait(0.01, running)
    assert running == set()
    async with Deadline(0.01, running):
        pass
    await asyncio.sleep(0.05)


async def test_it_can_be_shortened_and_not_lengthened() -> None:
    """By a run that stops."""
    now = asyncio.get_running_loop().time()

    def shorten(deadline: Deadline) -> None:
        deadline.shorten(now + 0.01)
        deadline.shorten(now + 7200)

    with pytest.raises(TimeoutError):
        await wait(3600, set(), shorten)


async def test_a_cancelled_block_is_cancelled() -> None:
    """Not timed out."""
    task = asyncio.create_task(wait(3600, set()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_answer_that_lies_in_the_socket_of_a_process_that_stood_still_is_read() -> None:
    """SIGSTOP for longer than the timeout; the answer comes meanwhile."""
    connected: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set_result(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", FROZEN, str(port), stdout=PIPE)
        assert process.stdout
        writer = await connected
        assert await process.stdout.readline() == b"waiting\n"
        os.kill(process.pid, signal.SIGSTOP)
        writer.write(b"answer")
        await writer.drain()
        await asyncio.sleep(2.5)
        os.kill(process.pid, signal.SIGCONT)
        output = await process.stdout.read()
        writer.close()
        await process.wait()
    assert output == b"b'answer'\n"
