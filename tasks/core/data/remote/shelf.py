"""Keeps what was fetched last on disk, within a budget: what was not used for longest goes when something new comes.

Only files of its own, in a folder that no other process uses and that goes with this one. Thread-safe.
"""

import os
import shutil
import socket
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition

import pyarrow as pa

type Fetch = Callable[[Path], None]


@dataclass(slots=True)
class _Kept:
    """`users`: threads that read it now."""

    size: int
    users: int = 1
    table: pa.Table | None = None  # until it is fetched


class Shelf:
    """`budget`: bytes on disk at most, as far as one part does not need more by itself."""

    def __init__(self, parent: Path, budget: int) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(parent)
        self._folder = Path(tempfile.mkdtemp(dir=parent, prefix=f"{socket.gethostname()}-{os.getpid()}-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)  # at the end of the process, too
        self._budget = budget
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._changed = Condition()

    @contextmanager
    def held(self, number: int, size: int, fetch: Fetch) -> Iterator[pa.Table]:
        """Part `number`, of about `size` bytes, which stays while the block lasts; `fetch` writes it as Arrow.

        Whoever wants another part must leave the block first, or two threads could wait for each other.
        """
        kept = self._claimed(number, size)
        try:
            if kept.table is None:
                self._fill(number, kept, fetch)
            yield kept.table
        finally:
            with self._changed:
                kept.users -= 1
                self._changed.notify_all()

    def _claimed(self, number: int, size: int) -> _Kept:
        """The part with one user more; without its table where this thread is to fetch it."""
        with self._changed:
            while True:
                kept = self._kept.get(number)
                if kept and kept.table is not None:
                    kept.users += 1
                    self._kept.move_to_end(number)
                    return kept
                if kept is None and self._makes_room(size):
                    return self._kept.setdefault(number, _Kept(size))
                self._changed.wait()

    def _fill(self, number: int, kept: _Kept, fetch: Fetch) -> None:
        path = self._path(number)
        try:
            fetch(path)
            table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        except BaseException:
            with self._changed:
                del self._kept[number]
                path.unlink(missing_ok=True)
            raise
        with self._changed:
            kept.table, kept.size = table, path.stat().st_size
            self._makes_room(0)
            self._changed.notify_all()

    def _makes_room(self, size: int) -> bool:
        """Whether `size` bytes more are within the budget, now that what nobody reads has gone as far as needed."""
        for number in list(self._kept):
            if self._held_bytes() + size <= self._budget:
                return True
            if self._kept[number].table is not None and not self._kept[number].users:
                del self._kept[number]
                self._path(number).unlink()
        return not self._kept or self._held_bytes() + size <= self._budget

    def _held_bytes(self) -> int:
        return sum(kept.size for kept in self._kept.values())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.arrow"


def _remove_left_behind(parent: Path) -> None:
    """Folders of processes of this machine that were killed."""
    for folder in parent.glob(f"{socket.gethostname()}-*"):
        pid = folder.name.removeprefix(f"{socket.gethostname()}-").partition("-")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
