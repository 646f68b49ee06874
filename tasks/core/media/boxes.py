"""The boxes of an ISO base media file (MP4, MOV, 3GPP, M4A, HEIC): ISO/IEC 14496-12. Reads lengths and names only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

IMAGE_BRANDS = {
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"mif1": "heif",
    b"msf1": "heif",
}
_OF_IMAGES = (b"ftyp", b"meta", b"mdat", b"moov", b"idat", b"free", b"skip", b"uuid")


@dataclass(frozen=True, slots=True)
class Box:
    """One box; `end` may lie beyond the data that there is."""

    kind: bytes
    start: int
    end: int


def top_boxes(data: bytes) -> Iterator[Box]:
    """The boxes of a file, in order, until one says nothing sensible."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        end = at + size if size else len(data)  # 0: up to the end
        if end < at + 8:
            return
        yield Box(kind, at, end)
        at = end


def only_sound(data: bytes) -> bool:
    """Whether its tracks are sound without a picture, by the handlers that `moov` names."""
    moov = next((box for box in top_boxes(data) if box.kind == b"moov"), None)
    if moov is None:
        return False
    found = data[moov.start : moov.end]
    return _handler(found, b"soun") and not _handler(found, b"vide")


def film_is_cut(data: bytes) -> bool:
    """Whether bytes are missing: a box goes beyond the end, or there is no `moov`, without which nothing plays."""
    found = list(top_boxes(data))
    return not found or found[-1].end > len(data) or all(box.kind != b"moov" for box in found)


def image_is_cut(data: bytes) -> bool:
    """The same of HEIC, as far as boxes go that such a file has; what stands behind them may be anything."""
    found = list(takewhile(lambda box: box.kind in _OF_IMAGES, top_boxes(data)))
    return any(box.end > len(data) for box in found) or not {b"meta", b"moov"} & {box.kind for box in found}


def _handler(moov: bytes, kind: bytes) -> bool:
    at = moov.find(b"hdlr")
    while at >= 0:
        if moov[at + 12 : at + 16] == kind:
            return True
        at = moov.find(b"hdlr", at + 4)
    return False
