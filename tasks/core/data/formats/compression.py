"""The bytes of a file, decompressed on the way. What it is compressed with is told by its first bytes, not its name."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from tasks.core.errors import InputError

_NO_TEXT = {
    b"PK\x03\x04": "a zip or Excel file",
    b"PAR1\x15": "a Parquet file",
    b"ARROW1\0\0": "an Arrow file",
    b"%PDF-": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel file (.xls)",
}
_LFS = b"version https://git-lfs"
_LONGEST = len(_LFS)
_BZIP2 = (b"1AY&SY", b"\x17rE8P\x90")  # of a block, and of the end where there is none


def open_bytes(path: Path) -> IO[bytes]:
    """The content of a text file, to read and close.

    Raises:
        InputError: by its first bytes it is no text.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    _check(path, start)
    if (opener := _decompressor(start)) is None:
        return path.open("rb")
    with opener(path) as file:
        inner = file.read(_LONGEST)
    _check(path, inner)
    if _decompressor(inner):
        raise InputError(f"{path} is compressed twice; decompress it once")
    return opener(path)


def _check(path: Path, start: bytes) -> None:
    if start == _LFS:
        raise InputError(f"{path} is not fetched yet: Git LFS keeps its place; `git lfs pull` fetches it")
    for magic, what in _NO_TEXT.items():
        if start.startswith(magic):
            raise InputError(f"{path} is {what}, whatever its name says; rename it or convert it")


def _decompressor(start: bytes) -> Callable[[Path], IO[bytes]] | None:
    if start.startswith(b"\x1f\x8b"):
        return lambda path: cast(IO[bytes], gzip.open(path))
    if start.startswith(b"BZh") and start[4:10] in _BZIP2:
        return lambda path: bz2.open(path)
    if start.startswith(b"\xfd7zXZ\0"):
        return lambda path: lzma.open(path)
    return _zstd if start.startswith(b"\x28\xb5\x2f\xfd") else None


def _zstd(path: Path) -> IO[bytes]:
    stream: Any = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return cast(IO[bytes], stream)
