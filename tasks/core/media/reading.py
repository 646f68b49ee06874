"""Reads one medium of a row. Looks at no content."""

import errno
import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.core.errors import MediaError
from tasks.core.files.names import existing
from tasks.core.records import MediaUri

LONGEST_PATH = 4096  # Linux's PATH_MAX; a longer text is no path, and asking the file system about it is slow

SHOWN_CHARS = 200  # of a path in a message: a cell may hold a whole image as base64

TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO, errno.EAGAIN, errno.EBUSY}

TRANSIENT |= {errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN}

PAUSES_SECONDS = (0.1, 0.4, 1.6)


def read_media(value: Any, roots: Sequence[str]) -> bytes | MediaUri | None:
    """What a medium stands for: raw bytes, a path, datasets' `{"bytes", "path"}`; None for an empty cell.

    Raises:
        MediaError: the path leads nowhere, or out of `roots`.
        OSError: it could not be read for a reason that passes, and did not while this waited.
    """
    if isinstance(value, dict) and value.keys() & {"bytes", "path"}:
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if value is None or value in ("", b""):
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _read_path(value, roots)
    raise MediaError(f"expected bytes or a path, found {type(value).__name__}")


def _read_path(text: str, roots: Sequence[str]) -> bytes:
    shown = repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")
    if "://" in text or "::" in text or "\0" in text or len(text) > LONGEST_PATH:
        raise MediaError(f"{shown} is not a path in the data folder")
    try:
        real = existing(Path(roots[0], text)).resolve()
        if not any(real.is_relative_to(Path(root).resolve()) for root in roots):
            raise MediaError(f"path {shown} leads out of the data folder")
        return _read_patiently(real)
    except IsADirectoryError:
        raise MediaError(f"{shown} is not a file") from None
    except FileNotFoundError:
        raise MediaError(f"{shown} does not exist") from None
    except (OSError, RuntimeError, ValueError) as error:
        if getattr(error, "errno", None) in TRANSIENT:
            raise
        raise MediaError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _read_patiently(path: Path) -> bytes:
    """What is wrong with the machine, or with a file system over a network, is no fault of the image."""
    for pause in PAUSES_SECONDS:
        try:
            return _read_file(path)
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
        time.sleep(pause)
    return _read_file(path)


def _read_file(path: Path) -> bytes:
    """What is opened is asked, not its name, which may mean another thing by then. A pipe is opened without waiting."""
    with open(path, "rb", opener=_open_at_once) as file:
        return file.read()


def _open_at_once(path: str, flags: int) -> int:
    """An opener for `open`.

    Raises:
        IsADirectoryError: a folder, a pipe, a device: whatever is no file.
    """
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise IsADirectoryError
    return handle
