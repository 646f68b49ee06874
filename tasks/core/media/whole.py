"""Tells whether bytes are missing of audio, video or a PDF, by the lengths that the file names. Decodes nothing."""

from collections.abc import Callable

from tasks.core.errors import MediaError
from tasks.core.media import boxes, kinds
from tasks.core.media.whole_streams import elements_are_cut, flac_is_cut, mp3_is_cut, mpeg_is_cut

CUT_OFF = "broken: cut off"
_PDF_ENDS_WITHIN = 1024  # bytes, as readers have it
_UNKNOWN = 0xFFFFFFFF  # of who wrote into a pipe
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML_SEGMENT = b"\x18\x53\x80\x67"


def check_whole(data: bytes, kind: str) -> None:
    """Raises MediaError where `data`, of a type of kinds.py, has lost its end."""
    is_cut = _CUT.get(kind)
    if is_cut and is_cut(data):
        raise MediaError(CUT_OFF)


def riff_is_cut(data: bytes) -> bool:
    """Of RIFF and IFF: all but the first 8 bytes is what the file says of its length."""
    if data[:4] == b"RF64":  # whose chunk `ds64` has it
        return len(data) < 28 or int.from_bytes(data[20:28], "little") + 8 > len(data)
    size = int.from_bytes(data[4:8], "big" if data[:4] == b"FORM" else "little")
    return len(data) < 12 or (size != _UNKNOWN and size + 8 > len(data))


def _pdf_is_cut(data: bytes) -> bool:
    """What was saved several times ends several times; the last end counts."""
    tail = data[-64 * 1024 :].rstrip(b"\0\t\n\f\r ")[-_PDF_ENDS_WITHIN:]
    return b"%%EOF" not in tail


def _ogg_is_cut(data: bytes) -> bool:
    """Page after page: 27 bytes, the lengths of its segments, the segments."""
    at = 0
    while data[at : at + 4] == b"OggS":
        lengths = at + 27
        if lengths > len(data):
            return True
        body = lengths + data[at + 26]
        at = body + sum(data[lengths:body])
        if body > len(data):
            return True
    return at > len(data) or 0 < len(data) - at < 4


def _flv_is_cut(data: bytes) -> bool:
    """Tag after tag, each with its length before and after."""
    at = int.from_bytes(data[5:9]) + 4
    while at + 11 <= len(data):
        at += 11 + int.from_bytes(data[at + 1 : at + 4]) + 4
    return at not in (len(data), len(data) + 4)  # some leave the last length out


def _adts_is_cut(data: bytes) -> bool:
    at = kinds.id3_end(data)
    while data[at : at + 1] == b"\xff" and at + 7 <= len(data):
        size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        if size < 7:
            return True
        at += size
    return at > len(data) or 0 < len(data) - at < 7


def _asf_is_cut(data: bytes) -> bool:
    at = data.find(_ASF_PROPERTIES)
    return at < 0 or at + 48 > len(data) or int.from_bytes(data[at + 40 : at + 48], "little") > len(data)


def _webm_is_cut(data: bytes) -> bool:
    """The segment, which all is in: its length is a number with as many leading zeros as bytes follow."""
    at = data.find(_EBML_SEGMENT, 0, 4096) + 4
    if at < 4 or at >= len(data) or not data[at]:
        return True
    width = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    if size == (1 << 7 * width) - 1:  # of who wrote into a pipe
        return elements_are_cut(data, at + width)
    return at + width + size > len(data)


_CUT: dict[str, Callable[[bytes], bool]] = {
    kinds.PDF: _pdf_is_cut,
    kinds.OGG: _ogg_is_cut,
    kinds.FLV: _flv_is_cut,
    kinds.AAC: _adts_is_cut,
    kinds.WMV: _asf_is_cut,
    kinds.WEBM: _webm_is_cut,
    kinds.MP3: mp3_is_cut,
    kinds.FLAC: flac_is_cut,
    kinds.MPEG: mpeg_is_cut,
    **dict.fromkeys((kinds.WAV, kinds.AVI, kinds.AIFF), riff_is_cut),
    **dict.fromkeys((kinds.MP4, kinds.MOV, kinds.THREE_GPP, kinds.M4A), boxes.film_is_cut),
}
