"""The smallest files that are whole, one of each kind that Gemini takes."""

import io
import wave
from functools import partial
from typing import Any

from PIL import Image as Pillow

from tasks.core.media.conversion import to_media

to_image = partial(to_media, images_only=True)  # of an image column


def picture(file_format: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Pillow.linear_gradient("L").resize((32, 24)).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


def animated(file_format: str) -> bytes:
    """Two frames: the first is red."""
    buffer = io.BytesIO()
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    frames[0].save(buffer, file_format, save_all=True, append_images=frames[1:], duration=100, **options)
    return buffer.getvalue()


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4) + kind + content


def film(brand: bytes, handler: bytes = b"vide") -> bytes:
    """An ISO base media file with one track."""
    moov = box(b"moov", box(b"trak", box(b"mdia", box(b"hdlr", bytes(8) + handler + bytes(12)))))
    return box(b"ftyp", brand + bytes(4) + brand) + moov + box(b"mdat", bytes(range(200)))


def heic(brand: bytes = b"heic") -> bytes:
    return box(b"ftyp", brand + bytes(4) + b"mif1") + box(b"meta", bytes(40)) + box(b"mdat", bytes(range(100)))


def chunked(form: bytes, start: bytes, byte_order: str = "little") -> bytes:
    content = form + b"data" + (64).to_bytes(4, "little" if byte_order == "little" else "big") + bytes(range(64))
    return start + len(content).to_bytes(4, "little" if byte_order == "little" else "big") + content


def pdf(pages: int = 1) -> bytes:
    return b"%PDF-1.7\n" + b"% page\n" * pages + b"startxref\n9\n%%EOF"


def wav(seconds: float = 0.01) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        file.writeframes(bytes(range(256)) * int(seconds * 100))
    return buffer.getvalue()


def adts(frames: int = 3) -> bytes:
    return (bytes([0xFF, 0xF1, 0x50, 0x80, 40 >> 3, (40 & 7) << 5, 0xFC]) + bytes(33)) * frames


def ogg(pages: int = 3) -> bytes:
    return b"".join(b"OggS" + bytes(22) + bytes([2, 255, 45]) + bytes(range(250)) + bytes(50) for _ in range(pages))


def flv(tags: int = 3) -> bytes:
    tag = b"\x09" + (50).to_bytes(3) + bytes(7) + bytes(range(50)) + (61).to_bytes(4)
    return b"FLV\x01\x05" + (9).to_bytes(4) + bytes(4) + tag * tags


def webm(doctype: bytes = b"webm") -> bytes:
    head = b"\x42\x82" + bytes([0x80 | len(doctype)]) + doctype
    return b"\x1a\x45\xdf\xa3" + bytes([0x80 | len(head)]) + head + b"\x18\x53\x80\x67\x40\xc8" + bytes(200)


def asf(stream: str = "c0ef19bc4d5bcf11a8fd00805f5c442b") -> bytes:
    start = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + (94).to_bytes(8, "little") + bytes(6)
    properties = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + bytes(24)
    size = len(start) + len(properties) + 8 + 16 + 100
    return start + properties + size.to_bytes(8, "little") + bytes.fromhex(stream) + bytes(range(100))


def crc(data: bytes, polynomial: int, width: int) -> bytes:
    value = 0
    for bit in (byte >> n & 1 for byte in data for n in range(7, -1, -1)):
        carry = value >> width - 1 ^ bit
        value = (value << 1 & (1 << width) - 1) ^ (polynomial if carry else 0)
    return value.to_bytes(width // 8)


def flac(frames: int = 3, samples: int = 48) -> bytes:
    """Blocks of 16 samples, each of one value."""
    sizes = (16).to_bytes(2) * 2 + bytes(6)
    stream = sizes + (8000 << 44 | 15 << 36 | samples).to_bytes(8) + bytes(16)
    sound = b""
    for number in range(frames):
        head = bytes([0xFF, 0xF8, 0x60, 0, number, 15])
        frame = head + crc(head, 0x07, 8) + b"\0\x12\x34"
        sound += frame + crc(frame, 0x8005, 16)
    return b"fLaC\x80" + len(stream).to_bytes(3) + stream + sound


def mpeg(packets: int = 3) -> bytes:
    """A pack of MPEG 2, and packets of video."""
    pack = b"\0\0\1\xba\x44" + bytes(8) + b"\xf8"
    return pack + (b"\0\0\1\xe0" + (50).to_bytes(2) + bytes(50)) * packets


def rf64() -> bytes:
    """A WAV whose length stands in a chunk of its own."""
    content = b"WAVEds64" + (28).to_bytes(4, "little")
    size = len(content) + 28 + 100
    return b"RF64\xff\xff\xff\xff" + content + size.to_bytes(8, "little") + bytes(20) + bytes(100)


def webm_as_sent() -> bytes:
    """Of segment and cluster nobody knew the length when they were begun."""
    start = webm()[: webm().index(b"\x18\x53\x80\x67")]
    block = b"\xa3\xc0" + bytes(64)
    return start + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\x1f\x43\xb6\x75\xff" + block * 3


FLAC = flac()
MP3 = (b"\xff\xfb\x90\x00" + bytes(413)) * 3

IMAGES = {
    "image/png": picture("PNG"),
    "image/jpeg": picture("JPEG"),
    "image/webp": picture("WEBP"),
    "image/heic": heic(),
    "image/heif": heic(b"mif1"),
}
OTHERS = {
    "application/pdf": pdf(),
    "audio/wav": wav(),
    "audio/mp3": MP3,
    "audio/aiff": chunked(b"AIFF", b"FORM", "big"),
    "audio/aac": adts(),
    "audio/ogg": ogg(),
    "audio/flac": FLAC,
    "audio/m4a": film(b"M4A ", b"soun"),
    "video/mp4": film(b"isom"),
    "video/mov": film(b"qt  "),
    "video/avi": chunked(b"AVI ", b"RIFF"),
    "video/x-flv": flv(),
    "video/mpeg": mpeg(),
    "video/webm": webm(),
    "video/wmv": asf(),
    "video/3gpp": film(b"3gp5"),
}
ALL = IMAGES | OTHERS
