"""Reads one medium of a row, wherever it is. Looks at no content, but to tell base64 of a medium from a name."""

import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core.errors import DataUnavailable, MediaError
from tasks.core.files.names import existing
from tasks.core.media.conversion import is_media
from tasks.core.media.forms import SHOWN_CHARS as SHOWN_CHARS
from tasks.core.media.forms import Named, from_base64, meaning, shown
from tasks.core.records import MediaUri

LONGEST_PATH = 4096  # Linux's PATH_MAX; a longer text is no path, and asking the file system about it is slow

TRANSIENT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO, errno.EAGAIN, errno.EBUSY}

TRANSIENT |= {errno.ESTALE, errno.ETIMEDOUT, errno.ENOLCK, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN}

PAUSES_SECONDS = (0.1, 0.4, 1.6)
_HUB = "hf://"  # as datasets names a file of the repository

type FromHub = Callable[[str], Path]
type FromWeb = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class WebFile:
    """A file on the web, not fetched yet. `fetch`: may block; raises as read_media does."""

    url: str
    fetch: Callable[[], bytes]


def read_media(
    value: Any, roots: Sequence[str], from_hub: FromHub | None = None, from_web: FromWeb | None = None
) -> bytes | MediaUri | WebFile | None:
    """What a medium stands for, in any of the forms of forms.py; None for an empty cell.

    `from_hub`: brings what is not in `roots`. `from_web`: None where nothing may be fetched.

    Raises:
        MediaError: the path leads nowhere, or out of `roots`; there is no medium in the cell.
        OSError: it could not be read for a reason that passes, and did not while this waited.
    """
    found = meaning(value)
    if not isinstance(found, Named):
        if isinstance(value, str) and isinstance(found, bytes) and not is_media(found):
            raise MediaError(f"{shown(value)} holds no medium")
        return found
    text = found.text
    if text.partition("://")[0].lower() in ("http", "https"):
        return _on_the_web(text, from_web)
    try:
        return _read_path(text, roots, None)
    except MediaError:
        data = from_base64(text)
        if data and is_media(data):
            return data
        if from_hub is None:
            raise
    return _read_path(text, roots, from_hub)


def _on_the_web(url: str, from_web: FromWeb | None) -> WebFile:
    if from_web is None:
        raise MediaError(f"{shown(url)} is not in the data folder; --fetch-urls fetches it")
    return WebFile(url, partial(from_web, url))


def _read_path(text: str, roots: Sequence[str], from_hub: FromHub | None) -> bytes:
    is_foreign = "://" in text and not (from_hub and text.startswith(_HUB))
    if is_foreign or "::" in text or "\0" in text or len(text) > LONGEST_PATH:
        raise MediaError(f"{shown(text)} is not a path in the data folder")
    try:
        path = existing(Path(roots[0], text))
        real = (from_hub(text) if from_hub and not path.exists() else path).resolve()
        if not any(real.is_relative_to(Path(root).resolve()) for root in roots):
            raise MediaError(f"path {shown(text)} leads out of the data folder")
        return _read_patiently(real)
    except DataUnavailable:
        raise
    except IsADirectoryError:
        raise MediaError(f"{shown(text)} is not a file") from None
    except FileNotFoundError:
        raise MediaError(f"{shown(text)} does not exist") from None
    except (OSError, RuntimeError, ValueError) as error:
        if getattr(error, "errno", None) in TRANSIENT:
            raise
        raise MediaError(f"{shown(text)} cannot be read: {getattr(error, 'strerror', None) or error}") from None


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
