"""Tells by the first bytes what a medium is, beside images. Looks at no name; whether it is whole says whole.py.

The MIME types are those of Gemini's documentation: https://ai.google.dev/gemini-api/docs/audio, /video-understanding,
/document-processing; audio/m4a is that of Google Cloud's.
"""

from tasks.core.media import boxes

PDF = "application/pdf"
WAV, MP3, AIFF, AAC = "audio/wav", "audio/mp3", "audio/aiff", "audio/aac"
OGG, FLAC, M4A = "audio/ogg", "audio/flac", "audio/m4a"
MP4, MOV, AVI, FLV = "video/mp4", "video/mov", "video/avi", "video/x-flv"
MPEG, WEBM, WMV, THREE_GPP = "video/mpeg", "video/webm", "video/wmv", "video/3gpp"
_BEFORE_A_PDF = b"\xef\xbb\xbf\0\t\n\f\r "  # and readers take it all the same
_MATROSKA, _ASF = b"\x1a\x45\xdf\xa3", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_VIDEO = bytes.fromhex("c0ef19bc4d5bcf11a8fd00805f5c442b")
_SUFFIXES = {
    "image/png": "png", "image/jpeg": "jpg jpeg", "image/webp": "webp", "image/heic": "heic", "image/heif": "heif",
    PDF: "pdf", WAV: "wav", MP3: "mp3", AIFF: "aiff aif", AAC: "aac", OGG: "ogg oga opus", FLAC: "flac", M4A: "m4a",
    MP4: "mp4 m4v", MOV: "mov", AVI: "avi", FLV: "flv", MPEG: "mpg mpeg", WEBM: "webm", WMV: "wmv",
    THREE_GPP: "3gp 3gpp",
}  # fmt: skip
OF_SUFFIX = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}


def kind_of(data: bytes) -> str | None:
    """The MIME type of a PDF, audio or video; None for images and for what Gemini does not take."""
    start = data[:64]
    if data[:1024].lstrip(_BEFORE_A_PDF).startswith(b"%PDF-"):
        return PDF
    if start[:4] in (b"RIFF", b"RF64", b"FORM"):
        return {b"WAVE": WAV, b"AVI ": AVI, b"AIFF": AIFF, b"AIFC": AIFF}.get(start[8:12])
    if start[:4] == _MATROSKA:
        return WEBM if b"\x42\x82" in start and b"webm" in start else None
    if start[:16] == _ASF:
        header = int.from_bytes(data[16:24], "little")
        return WMV if header > len(data) or _ASF_VIDEO in data[:header] else None
    starts = {b"OggS": OGG, b"fLaC": FLAC, b"FLV\x01": FLV, b"\0\0\1\xba": MPEG, b"\0\0\1\xb3": MPEG}
    return starts.get(start[:4]) or _mpeg_audio(data) or _in_boxes(data)


def name_of(kind: str) -> str:
    """`a PDF`, `audio (audio/wav)`."""
    return "a PDF" if kind == PDF else f"{kind.partition('/')[0]} ({kind})"


def _mpeg_audio(data: bytes) -> str | None:
    """MP3 and AAC begin with 11 or 12 bits that are set; an ID3 tag may stand before either."""
    start = id3_end(data)
    first, second = data[start : start + 1], data[start + 1 : start + 2]
    if first != b"\xff" or not second or second[0] < 0xE0:
        return MP3 if start else None
    if second[0] & 0xF6 == 0xF0:  # layer 0: ADTS
        return AAC
    bits = data[start + 2] if len(data) > start + 2 else 0xFF
    layer_two_or_three = second[0] & 0x06 in (2, 4)
    known = layer_two_or_three and second[0] & 0x18 != 0x08 and bits & 0xF0 != 0xF0 and bits & 0x0C != 0x0C
    return MP3 if known else None


def id3_end(data: bytes) -> int:
    """Where an ID3v2 tag at the beginning ends; its length has 7 bits a byte."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))


def _in_boxes(data: bytes) -> str | None:
    """ISO base media files say what they are in `ftyp`; old films of QuickTime have none."""
    kind, brand = data[4:8], data[8:12]
    if kind in (b"moov", b"mdat", b"wide", b"pnot"):
        return MOV
    if kind != b"ftyp" or brand in boxes.IMAGE_BRANDS or b"avif" in data[8:32]:
        return None
    if brand[:2] == b"3g":
        return THREE_GPP
    if brand == b"qt  ":
        return MOV
    return M4A if brand in (b"M4A ", b"M4B ") or boxes.only_sound(data) else MP4
