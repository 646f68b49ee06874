"""Tells whether bytes are missing of streams that do not say how long they are: MP3, FLAC, MPEG, and live WebM.

Each is walked from part to part as far as its parts have lengths. What is no part is something behind the stream, or
something that nobody here knows, and then it counts as whole.
"""

import re
from collections.abc import Iterator
from functools import cache

from tasks.core.media.kinds import id3_end

# ISO 11172-3 and 13818-3: kilobits a second of layers II and III of MPEG 1, and of the lower rates of MPEG 2 and 2.5.
_LAYER_2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_LAYER_3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOWER = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by the bits of the version
_LONGEST_FRAME = 1 << 20  # of FLAC, where it does not say its own
_FLAC_SYNC = re.compile(rb"\xff[\xf8\xf9]")


def mp3_is_cut(data: bytes) -> bool:
    """A frame goes beyond the end, or the first one says that there are more bytes than there are."""
    first = at = id3_end(data)
    while size := _mp3_frame(data, at):
        at += size
    said = data[first : first + 200]
    if (mark := max(said.find(b"Xing"), said.find(b"Info"))) > 0 and said[mark + 7] & 2:
        place = mark + (12 if said[mark + 7] & 1 else 8)  # behind the number of frames
        if first + int.from_bytes(said[place : place + 4]) > len(data):
            return True
    return first + 4 > len(data) or at > len(data) or (at > first and data[at:] in (b"\xff", data[first : first + 3]))


def _mp3_frame(data: bytes, at: int) -> int:
    """The bytes of the frame that begins there; 0 where none does that says its length."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] < 0xE0:
        return 0
    version, layer = data[at + 1] >> 3 & 3, data[at + 1] >> 1 & 3
    bits, rate = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or bits in (0, 15) or rate == 3:
        return 0
    kilobits = (_LAYER_2 if layer == 2 else _LAYER_3)[bits] if version == 3 else _LOWER[bits]
    samples = 1152 if version == 3 or layer == 2 else 576
    return samples // 8 * kilobits * 1000 // _RATES[version][rate] + (data[at + 2] >> 1 & 1)


def flac_is_cut(data: bytes) -> bool:
    """The last frame is damaged, or is not the last: blocks of metadata, which have lengths, say how many samples."""
    at, last = 4, False
    while not last and at + 4 <= len(data):
        last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4])
    if not last or at >= len(data):
        return True
    block, longest = int.from_bytes(data[8:10]), int.from_bytes(data[15:18]) or _LONGEST_FRAME
    samples = int.from_bytes(data[21:26]) & ((1 << 36) - 1)
    sound = data[at:-128] if data[-128:-125] == b"TAG" else data[at:]
    return not any(end >= samples for end in _flac_ends(sound[-longest:], block))


def _flac_ends(data: bytes, block: int) -> Iterator[int]:
    """Of each frame that is whole and ends with `data`, the number of samples up to its end; its checksums tell."""
    for found in _FLAC_SYNC.finditer(data):
        at = found.start()
        number, size, end = _flac_header(data, at, block)
        if end < len(data) and _crc8(data[at:end]) == data[end] and _crc16(data[at:]) == 0:
            yield number + size if data[at + 1] & 1 else number * block + size


def _flac_header(data: bytes, at: int, block: int) -> tuple[int, int, int]:
    """RFC 9639, 9.1: the coded number, the samples of the block, and where the header's checksum stands."""
    codes = data[at + 2] if at + 5 < len(data) else 0
    first = data[at + 4] if at + 5 < len(data) else 0xFF
    more = max(0, 8 - (first ^ 0xFF).bit_length() - 1)
    number = first & (0x7F >> (more + 1 if more else 0))
    for byte in data[at + 5 : at + 5 + more]:
        number = number << 6 | byte & 0x3F
    end = at + 5 + more
    kind = codes >> 4
    wide = {6: 1, 7: 2}.get(kind, 0)
    sizes = {1: 192, **{n: 144 << n for n in (2, 3, 4, 5)}, **{n: 1 << n for n in range(8, 16)}}
    size = int.from_bytes(data[end : end + wide]) + 1 if wide else sizes.get(kind, block)
    return number, size, end + wide + {12: 1, 13: 2, 14: 2}.get(codes & 15, 0)


@cache
def _table(polynomial: int, width: int) -> tuple[int, ...]:
    top, mask = 1 << width - 1, (1 << width) - 1
    found = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
        found.append(value)
    return tuple(found)


def _crc8(data: bytes) -> int:
    value, table = 0, _table(0x07, 8)
    for byte in data:
        value = table[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value, table = 0, _table(0x8005, 16)
    for byte in data:
        value = (value << 8 & 0xFF00) ^ table[value >> 8 ^ byte]
    return value


def mpeg_is_cut(data: bytes) -> bool:
    """A program stream (ISO 13818-1): packs, and packets with their lengths."""
    at = 0
    while data[at : at + 3] == b"\0\0\1" and at + 4 < len(data):
        code, form = data[at + 3], data[at + 4]
        if code == 0xB9:  # the end, behind which another stream may begin
            at += 4
        elif code == 0xBA and form >> 6 == 1:
            at += 14 + (data[at + 13] & 7 if at + 13 < len(data) else 0)
        elif code == 0xBA and form >> 4 == 2:  # MPEG 1
            at += 12
        elif code > 0xBA:
            at += 6 + int.from_bytes(data[at + 4 : at + 6])
        else:
            return False
    return at > len(data)


def elements_are_cut(data: bytes, at: int) -> bool:
    """Elements of Matroska (RFC 8794) up to the end. One of unknown length holds those behind it."""
    while at < len(data) and data[at] > 0x0F:
        at += 9 - data[at].bit_length()
        if at >= len(data) or not data[at]:
            return at >= len(data)
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
        at += width + (0 if size == (1 << 7 * width) - 1 else size)
    return at > len(data)
