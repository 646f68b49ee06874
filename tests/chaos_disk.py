"""A result storage that can fail, for a moment or for good. Root may write anywhere, so permissions are no way."""

import ctypes
import os
from pathlib import Path

_HERE, _EXCHANGE = -100, 2  # Linux: AT_FDCWD, RENAME_EXCHANGE


class Disk:
    """While it fails, a plain file has the place of the storage's folder.

    The two change places in one system call, so that no run can make the folder anew in between.
    """

    def __init__(self, folder: Path) -> None:
        self.storage, self._aside = folder / "storage", folder / "storage-aside"
        self.storage.mkdir()
        self._aside.write_text("not a folder")

    def fail(self) -> None:
        if self.storage.is_dir():
            _exchange(self.storage, self._aside)

    def mend(self) -> None:
        if self.storage.is_file():
            _exchange(self.storage, self._aside)


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        raise OSError(ctypes.get_errno(), f"{one} and {other} can't change places")
