"""The first records of a large text file on the Hub, fetched without the rest of it.

Where it cannot be told from the beginning alone what they are, there is no head, and the file has to come whole.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import HfFileSystem

from tasks.core.data.formats.staging import kept, made
from tasks.core.data.formats.suffixes import Format, format_of, is_compressed
from tasks.core.data.remote.patience import patiently

FIRST_BYTES = 1_000_000
_GROWTH = 8
_LINES = (Format.DELIMITED, Format.JSON, Format.TEXT)


def head_of(url: str, size: int, token: str | None, is_enough: Callable[[Path], bool]) -> Path | None:
    """A file with the first records of `url`: as many as are `enough`; None where that would be most of its `size`."""
    length, kind = FIRST_BYTES, format_of(url)
    while kind in _LINES and not is_compressed(Path(url)) and length < size // 2:
        head = _fetched(url, length, token)
        try:
            if not head.stat().st_size or is_enough(head):
                return head if head.stat().st_size else None
        except Exception:  # of what is cut, or of the file itself, which then says so whole
            return None
        length *= _GROWTH
    return None


def _fetched(url: str, length: int, token: str | None) -> Path:
    def read() -> bytes:
        with HfFileSystem(token=token).open(url, "rb", cache_type="none") as file:
            found: bytes = file.read(length)
            return found

    def write(draft: str) -> None:
        Path(draft).write_bytes(_whole_records(patiently(url, read), format_of(url)))

    folder = hashlib.blake2b(f"{url} {length}".encode(), digest_size=16).hexdigest()
    return made(kept(f"heads/{folder}/{Path(url).name}"), write)


def _whole_records(data: bytes, kind: Format | None) -> bytes:
    """Up to the last line that ends a record; none where no line does, as in a list, or only one.

    A line of CSV may end within quotes. One object of JSON alone could be a table by columns.
    """
    if kind is Format.JSON and data.lstrip().startswith(b"["):
        return b""
    end = data.rfind(b"\n") + 1
    while kind is Format.DELIMITED and data.count(b'"', 0, end) % 2:
        end = data.rfind(b"\n", 0, end - 1) + 1
    return data[:end] if data.count(b"\n", 0, end) > 1 else b""
