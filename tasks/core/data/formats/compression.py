"""The bytes of a file, decompressed on the way. What it is compressed with is told by its first bytes, not its name."""

import bz2
import gzip
import lzma
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
_LONGEST = 10


def open_bytes(path: Path) -> IO[bytes]:
    """The content of a text file, to read and close.

    Raises:
        InputError: by its first bytes it is no text.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    for magic, what in _NO_TEXT.items():
        if start.startswith(magic):
            raise InputError(f"{path} is {what}, whatever its name says; rename it or convert it")
    return _decompressed(path, start)


def _decompressed(path: Path, start: bytes) -> IO[bytes]:
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if start.startswith(b"BZh") and start[4:10] == b"1AY&SY":
        return bz2.open(path)
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(path)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        stream: Any = pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
        return cast(IO[bytes], stream)
    return path.open("rb")
