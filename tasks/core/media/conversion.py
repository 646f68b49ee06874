"""Reads one image and makes it fit for the API. Must not decode what Gemini takes as it is.

The type comes from the content, never from the name. Types that Gemini takes (png, jpeg, webp, heic, heif)
go out byte for byte, whatever their size; what else Pillow reads is converted, so many pixels at once in a process.
Anything that is not an image is refused.
"""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock

from PIL import Image as Pillow
from PIL import ImageFile, ImageOps

from tasks.core.errors import MediaError
from tasks.core.records import Media
from tasks.core.text import visible

# Gemini's limit is 100 MB for the encoded request; base64 takes a third more than the bytes.
MAX_BYTES = 70_000_000
SENT_AS_IT_IS = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}
# Formats with a signature worth the name, and none that runs another program (as EPS does).
READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG2000", "PPM", "QOI", "TIFF")
MOST_PIXELS = 180_000_000  # that are decoded of one image: 0.7 GB of RGB
PIXELS_AT_ONCE = 100_000_000
ICON = bytes([0, 0, 1, 0])
_HEIC_BRANDS = {
    b"heic": "heic",
    b"heix": "heic",
    b"heim": "heic",
    b"heis": "heic",
    b"mif1": "heif",
    b"msf1": "heif",
}


def set_up_pillow() -> None:
    """Pillow's settings are the process's, and there are none for a single image. As often as you like.

    At import, for nothing earlier is in one thread only: images are opened in many, from the first one on, and Pillow
    loads formats on demand in a way that is not thread-safe.
    """
    Pillow.init()
    # Pillow refuses twice as many, even where a WebP (16,383 x 16,383 at most) is only looked at.
    Pillow.MAX_IMAGE_PIXELS = MOST_PIXELS
    # Blocks this large go back to the system at once; glibc keeps Pillow's usual 16 MB for the thread that had them.
    Pillow.core.set_block_size(64 * 2**20)  # type: ignore[attr-defined]  # its stubs leave `core` out


set_up_pillow()


class PixelBudget:
    """How many pixels may be decoded at once; who wants more waits, first come, first served. Thread-safe.

    An image of more pixels than the whole budget goes alone.
    """

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._first_in_line, self._changed = Lock(), Condition()

    @contextmanager
    def take(self, pixels: int) -> Iterator[None]:
        share = min(pixels, self._all)
        with self._first_in_line, self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify()


_decoding = PixelBudget(PIXELS_AT_ONCE)  # of the process


def to_media(data: bytes, images_only: bool) -> Media:
    """`data` as Gemini takes it.

    Raises:
        MediaError: broken, too large, or of a kind that is not sent.
    """
    return to_image(data)


def to_image(data: bytes) -> Media:
    """`data` as Gemini takes it.

    Raises:
        MediaError: not an image, broken, or too large.
    """
    image = _heic(data) or _readable(data)
    if len(image.data) > MAX_BYTES:
        raise MediaError(f"{len(image.data):,} bytes are more than the API takes ({MAX_BYTES:,})")
    return image


def _heic(data: bytes) -> Media | None:
    """HEIC and HEIF, which Pillow cannot read: by the brand of the ISO base media file (ISO/IEC 23008-12)."""
    if data[4:8] != b"ftyp" or int.from_bytes(data[:4]) > len(data):
        return None
    subtype = _HEIC_BRANDS.get(data[8:12])
    return Media(data, f"image/{subtype}") if subtype and b"avif" not in data[8:32] else None


def _readable(data: bytes) -> Media:
    try:
        if data[:4] == ICON:  # Pillow decodes it when it is opened, and the PNG in it may be larger than it says
            with _decoding.take(PIXELS_AT_ONCE):
                return _converted(data)
        with _opened(data) as picture:
            mime_type = SENT_AS_IT_IS.get(picture.format or "")
            if mime_type and picture.mode != "CMYK":
                picture.verify()  # reads the structure, decodes nothing
                return Media(data, mime_type)
            pixels = _pixels(picture)
        with _decoding.take(pixels):
            return _converted(data)
    except MediaError:
        raise
    except Exception as error:  # a decoder may raise anything on broken bytes
        raise MediaError(visible(f"broken: {error}")) from None


def _opened(data: bytes) -> ImageFile.ImageFile:
    """As Pillow.open does, without its limit on pixels: most images are not going to be decoded."""
    for name in READABLE:
        factory, accepts = Pillow.OPEN[name]
        if accepts is None or accepts(data[:16]) is True:
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                return factory(io.BytesIO(data), "")
    raise MediaError("not an image")


def _pixels(picture: Pillow.Image) -> int:
    """How many pixels are decoded of `picture`.

    Raises:
        MediaError: too many.
    """
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise MediaError(
            f"{width:,} x {height:,} pixels are too many to convert from {picture.format} (at most {MOST_PIXELS:,}); "
            "as PNG, JPEG or WebP it goes out as it is"
        )
    return width * height


def _converted(data: bytes) -> Media:
    """The first frame, upright, without loss: PNG; JPEG for CMYK, which PNG does not have.

    Opens the image itself: its memory is free again when this returns.
    """
    buffer = io.BytesIO()
    picture: Pillow.Image = _opened(data)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode == "CMYK":
        picture.convert("RGB").save(buffer, "JPEG", quality=95)
        return Media(buffer.getvalue(), "image/jpeg")
    if picture.mode == "I;16B":  # straight to I;16 or RGB, Pillow cuts off at 255
        picture = picture.convert("I").convert("I;16")
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    picture.save(buffer, "PNG")
    return Media(buffer.getvalue(), "image/png")
