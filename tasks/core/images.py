"""Reads one image and makes it fit for the API. Must not decode what Gemini takes as it is.

The type comes from the content, never from the name. Types that Gemini takes (png, jpeg, webp, heic, heif)
go out byte for byte; what else Pillow reads is converted. Anything that is not an image is refused.
"""

import io
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from tasks.core.errors import ImageError
from tasks.core.records import Image

# Gemini's limit is 100 MB for the encoded request; base64 takes a third more than the bytes.
MAX_BYTES = 70_000_000
LONGEST_PATH = 4096  # Linux's PATH_MAX; a longer text is no path, and asking the file system about it is slow
SHOWN_CHARS = 200  # of a path in a message: a cell may hold a whole image as base64
SENT_AS_IT_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}
# Formats with a signature worth the name, and none that runs another program (as EPS does).
READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG2000", "PPM", "QOI", "TIFF")
Pillow.init()  # loading formats on demand is not thread-safe
_HEIC_BRANDS = {
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"mif1": "heif",
    b"msf1": "heif",
}


def read_image(value: Any, roots: Sequence[str]) -> bytes | None:
    """The bytes of an image cell: raw bytes, a path, datasets' `{"bytes", "path"}`; None for an empty cell.

    Raises:
        ImageError: the path leads nowhere, or out of `roots`.
    """
    if isinstance(value, dict):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if value is None or value in ("", b""):
        return None
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return _read_path(value, roots)
    raise ImageError(f"expected bytes or a path, found {type(value).__name__}")


def to_image(data: bytes) -> Image:
    """`data` as Gemini takes it.

    Raises:
        ImageError: not an image, broken, or too large.
    """
    image = _heic(data) or _readable(data)
    if len(image.data) > MAX_BYTES:
        raise ImageError(f"{len(image.data):,} bytes are more than the API takes ({MAX_BYTES:,})")
    return image


def _read_path(text: str, roots: Sequence[str]) -> bytes:
    shown = repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")
    if "://" in text or "::" in text or "\0" in text or len(text) > LONGEST_PATH:
        raise ImageError(f"{shown} is not a path in the data folder")
    path = Path(roots[0], text)
    try:
        real = path.resolve()
        if not any(real.is_relative_to(Path(root).resolve()) for root in roots):
            raise ImageError(f"path {shown} leads out of the data folder")
        info = real.stat()
        if not stat.S_ISREG(info.st_mode):
            raise ImageError(f"{shown} is not a file")
        return real.read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{shown} does not exist") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise ImageError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _heic(data: bytes) -> Image | None:
    """HEIC and HEIF, which Pillow cannot read: by the brand of the ISO base media file (ISO/IEC 23008-12)."""
    if data[4:8] != b"ftyp" or int.from_bytes(data[:4]) > len(data):
        return None
    subtype = _HEIC_BRANDS.get(data[8:12])
    return Image(data, f"image/{subtype}") if subtype and b"avif" not in data[8:32] else None


def _readable(data: bytes) -> Image:
    try:
        with Pillow.open(io.BytesIO(data), formats=READABLE) as picture:
            mime_type = SENT_AS_IT_IS.get(picture.format or "")
            if mime_type is None or picture.mode == "CMYK":
                return _converted(picture)
            picture.verify()  # reads the structure, decodes nothing
            return Image(data, mime_type)
    except UnidentifiedImageError:
        raise ImageError("not an image") from None
    except Exception as error:  # a decoder may raise anything on broken bytes
        raise ImageError(f"broken: {error}") from None


def _converted(picture: Pillow.Image) -> Image:
    """The first frame, upright, without loss: PNG; JPEG for CMYK, which PNG does not have."""
    buffer = io.BytesIO()
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "CMYK":
        upright.convert("RGB").save(buffer, "JPEG", quality=95)
        return Image(buffer.getvalue(), "image/jpeg")
    if upright.mode == "I;16B":  # straight to I;16 or RGB, Pillow cuts off at 255
        upright = upright.convert("I").convert("I;16")
    if upright.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        upright = upright.convert("RGB")
    upright.save(buffer, "PNG")
    return Image(buffer.getvalue(), "image/png")
