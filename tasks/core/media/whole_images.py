"""Tells whether an image that goes out as it is is whole: JPEG, PNG, WebP, and GIF before its first frame is taken.

Pillow's own check (`verify`) does not see that half of a JPEG is missing, and decoding it costs ten times as much as
sending. So this walks from part to part, and decodes nothing.
"""

import re
import zlib

from tasks.core.errors import MediaError
from tasks.core.media.whole import CUT_OFF, riff_is_cut

DAMAGED = "broken: its checksum does not fit"
_EOI, _SOS = 0xD9, 0xDA
# In the scan, 0xFF is followed by 0 where it is a value; restart markers and fill bytes are none of the structure.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def check_image(data: bytes) -> None:
    """Raises MediaError where an image that says how long it is, or where it ends, is not whole."""
    if data.startswith(b"\xff\xd8\xff"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG"):
        _check_png(data)
    elif data.startswith(b"GIF8"):
        _check_gif(data)
    elif data[:4] + data[8:12] == b"RIFFWEBP" and riff_is_cut(data):
        raise MediaError(CUT_OFF)


def is_animated(data: bytes) -> bool:
    """Of a PNG or WebP: whether it is more than one picture. The chunk that says so stands before the first."""
    if data[:4] == b"RIFF":
        return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & 2)
    return data[:4] == b"\x89PNG" and b"acTL" in data[: max(data.find(b"IDAT"), 0)]


def _check_jpeg(data: bytes) -> None:
    """Raises MediaError: no end of the image. What comes behind it (a second picture, a film) does not count."""
    at = _scan_of(data)
    if data.endswith(b"\xff\xd9"):
        return
    while (found := _MARKER.search(data, at)) and data[found.end() - 1] != _EOI:
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    if not found:
        raise MediaError(CUT_OFF)


def _scan_of(data: bytes) -> int:
    """Where the first scan begins: behind segments that each have their length."""
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF:
            at += 1  # a stray byte, which decoders pass over
        elif marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
        elif marker == _EOI:
            break
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
            if marker == _SOS and at < len(data):
                return at
    raise MediaError(CUT_OFF)


def _check_png(data: bytes) -> None:
    """Raises MediaError: a chunk is damaged, or the last one is missing."""
    at, view = 8, memoryview(data)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise MediaError(DAMAGED)
        if kind == b"IEND":
            return
        at = end + 4
    raise MediaError(CUT_OFF)


def _check_gif(data: bytes) -> None:
    """Raises MediaError: no trailer behind the last block."""
    at = 13 + _colours(data, 10)
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return
        if kind == 0x21:
            at += 2
        elif kind == 0x2C:
            at += 11 + _colours(data, at + 9)
        elif kind == 0:  # padding
            at += 1
            continue
        else:
            break
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    raise MediaError(CUT_OFF)


def _colours(data: bytes, at: int) -> int:
    """The length of the table of colours that the byte at `at` announces."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
