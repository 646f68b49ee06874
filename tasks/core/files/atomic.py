"""Files that appear whole or not at all, are for their owner only, and leave no litter. Must not know what is in them.

A draft is locked for as long as its writer lives, so a draft without a lock was left behind by a kill.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TextIO

PREFIX = ".infer-"
FOLDER_PREFIX = f"{PREFIX}files-"
_DRAFT = re.compile(re.escape(PREFIX) + r"[a-z0-9_]{8}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A file under way, beside the one it is to become."""

    path: Path
    file: TextIO

    def save(self) -> None:
        """Have all of it on disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def publish(self, path: Path) -> None:
        """Take the name `path`, of whatever had it before."""
        self.save()
        self.path.replace(path)
        sync_folder(path.parent)


def is_draft(path: Path) -> bool:
    return _DRAFT.fullmatch(path.name) is not None


def make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, each for its owner only; what is there stays as it is."""
    missing = list(takewhile(lambda each: not each.exists(), (folder, *folder.parents)))
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def drafted(folder: Path) -> Iterator[Draft]:
    """A draft in `folder`, which is gone afterwards unless it was published. Text is UTF-8, as it is given."""
    handle, path = _locked_draft(folder)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:  # closing it gives up the lock
        try:
            yield Draft(path, file)
        finally:
            with suppress(OSError):  # published, or the whole folder is gone
                path.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else of us decides meanwhile what becomes of a file in `folder`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, wait=True)
        yield
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove the drafts of writers that were killed."""
    for path in folder.iterdir():
        if is_draft(path):
            with suppress(OSError):  # somebody else's, or gone by now
                _remove_if_abandoned(path)


@contextmanager
def drafted_folder(folder: Path) -> Iterator[Path]:
    """A folder for files under way in `folder`, gone afterwards; what a kill has left of one, the next one removes."""
    for path in folder.glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError):
            _remove_folder_if_abandoned(path)
    path = Path(tempfile.mkdtemp(dir=folder, prefix=FOLDER_PREFIX))
    handle = os.open(path, os.O_RDONLY)
    try:
        _lock(handle, wait=True)
        yield path
    finally:
        os.close(handle)
        shutil.rmtree(path, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems know no such thing
            os.fsync(handle)
    finally:
        os.close(handle)


def set_aside(path: Path, aside: Path) -> None:
    """Give a file the free name `aside`; its old one is free, or free to be replaced.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(path, aside, follow_symlinks=False)  # so that there is a file under `path` at every moment
    except FileExistsError:
        raise
    except OSError:  # a file system without links, or a file of somebody else
        path.rename(aside)
    sync_folder(path.parent)


def _locked_draft(folder: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=PREFIX)
        _lock(handle, wait=True)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # swept up before it was locked


def _remove_if_abandoned(path: Path) -> None:
    handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(handle)
        if stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and _lock(handle, wait=False):
            path.unlink()
    finally:
        os.close(handle)


def _remove_folder_if_abandoned(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        if os.fstat(handle).st_uid == os.geteuid() and _lock(handle, wait=False):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Lock an open file until it is closed. False: it is taken, or the file system has no locks."""
    import fcntl  # not on Windows

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
