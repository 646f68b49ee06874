"""Chunks on their way through the task runner, a window of them at a time: there may be very many."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from prefect import Task, unmapped
from prefect.futures import PrefectFuture

from flows.local_server import is_local
from tasks.answer_chunk import answer_chunk
from tasks.core.answering.run import Run
from tasks.core.records import Chunk


class Window:
    """The chunks of a run, about `ahead` of them under way at once."""

    def __init__(self, chunks: Iterable[Chunk], run: Run, ahead: int) -> None:
        self._waiting, self._run, self._ahead = iter(chunks), run, ahead
        self.under_way: deque[Any] = deque()  # the runner's own futures

    def futures(
        self, stopped: Callable[[], object], stop: Callable[[], object] = lambda: None
    ) -> Iterator[PrefectFuture[Any]]:
        """Of the chunks, in order; each is under way until the next is asked for. None starts once it has `stopped`.

        `stop` is called where that happened while chunks were on their way to the runner.
        """
        while True:
            if not stopped() and self._send_more() and stopped():
                stop()
            if not self.under_way:
                return
            yield self.under_way[0]
            self.under_way.popleft()

    def _send_more(self) -> bool:
        """Whether any chunk was given to the runner."""
        if len(self.under_way) >= self._ahead or not (more := list(islice(self._waiting, self._ahead))):
            return False
        self.under_way.extend(_chunk_task().map(more, run=unmapped(self._run)))
        return True


def _chunk_task() -> Task[..., Any]:
    """The local server keeps no limit on a tag, so a chunk there must not wait for its word on one."""
    if not is_local():
        return answer_chunk
    untagged = answer_chunk.with_options()
    untagged.tags = set()
    return untagged
